/// What is in the state file.
#pragma once

namespace ingot::agent {

/// PRAGMA user_version of files that we make; newer ones are refused.
inline constexpr int kSchemaVersion = 1;

// What happened, and is never changed.
inline constexpr const char* kCreateEvents = R"(
CREATE TABLE IF NOT EXISTS events (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  deploy_id TEXT    NOT NULL,
  seq       INTEGER NOT NULL,
  machine   TEXT    NOT NULL,
  type      TEXT    NOT NULL,
  time      TEXT    NOT NULL,  -- the machine's clock
  received  INTEGER NOT NULL,  -- Unix time, ms
  request   TEXT    NOT NULL,
  status    TEXT    NOT NULL,  -- of a result
  disk      TEXT    NOT NULL,  -- of a result
  body      TEXT    NOT NULL,
  UNIQUE (deploy_id, seq)
) STRICT;
CREATE TABLE IF NOT EXISTS orders (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  machine TEXT    NOT NULL,
  kind    TEXT    NOT NULL,
  time    INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS orders_of_machine ON orders (machine);
CREATE TRIGGER IF NOT EXISTS events_stay BEFORE DELETE ON events
  BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END;
CREATE TRIGGER IF NOT EXISTS events_keep BEFORE UPDATE ON events
  BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER IF NOT EXISTS orders_stay BEFORE DELETE ON orders
  BEGIN SELECT RAISE(ABORT, 'orders are never deleted'); END;
CREATE TRIGGER IF NOT EXISTS orders_keep BEFORE UPDATE ON orders
  BEGIN SELECT RAISE(ABORT, 'orders are never changed'); END;
)";

// Derived from events. X_seq is the greatest seq of an event of type X, or -1.
inline constexpr const char* kCreateDeployments = R"(
CREATE TABLE IF NOT EXISTS deployments (
  id           TEXT    PRIMARY KEY,
  machine      TEXT    NOT NULL,
  request      TEXT    NOT NULL,
  first_event  INTEGER NOT NULL,
  last_event   INTEGER NOT NULL,
  begun        INTEGER NOT NULL,
  updated      INTEGER NOT NULL,
  events       INTEGER NOT NULL,
  started_seq  INTEGER NOT NULL,
  phase_seq    INTEGER NOT NULL,
  progress_seq INTEGER NOT NULL,
  retry_seq    INTEGER NOT NULL,
  note_seq     INTEGER NOT NULL,
  result_seq   INTEGER NOT NULL,
  status       TEXT    NOT NULL,
  disk         TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deployments_of_machine ON deployments (machine, first_event);
)";

inline constexpr const char* kRebuildDeployments = R"(
DROP TABLE IF EXISTS deployments;
)";

inline constexpr const char* kFillDeployments = R"(
INSERT INTO deployments
SELECT g.*, coalesce(r.status, ''), coalesce(r.disk, '') FROM (
  SELECT deploy_id, min(machine), max(request), min(id), max(id), min(received), max(received), count(*),
    max(CASE type WHEN 'started'  THEN seq ELSE -1 END),
    max(CASE type WHEN 'phase'    THEN seq ELSE -1 END),
    max(CASE type WHEN 'progress' THEN seq ELSE -1 END),
    max(CASE type WHEN 'retry'    THEN seq ELSE -1 END),
    max(CASE type WHEN 'note'     THEN seq ELSE -1 END),
    max(CASE type WHEN 'result'   THEN seq ELSE -1 END) AS result_seq
  FROM events GROUP BY deploy_id) AS g
LEFT JOIN events AS r ON r.deploy_id = g.deploy_id AND r.seq = g.result_seq;
)";

inline constexpr const char* kInsertEvent = R"(
INSERT INTO events (deploy_id, seq, machine, type, time, received, request, status, disk, body)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (deploy_id, seq) DO NOTHING RETURNING id
)";

inline constexpr const char* kCountEvent = R"(
INSERT INTO deployments VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?5, 1,
  CASE ?6 WHEN 'started'  THEN ?7 ELSE -1 END,
  CASE ?6 WHEN 'phase'    THEN ?7 ELSE -1 END,
  CASE ?6 WHEN 'progress' THEN ?7 ELSE -1 END,
  CASE ?6 WHEN 'retry'    THEN ?7 ELSE -1 END,
  CASE ?6 WHEN 'note'     THEN ?7 ELSE -1 END,
  CASE ?6 WHEN 'result'   THEN ?7 ELSE -1 END, ?8, ?9)
ON CONFLICT (id) DO UPDATE SET
  request = max(request, excluded.request),
  last_event = excluded.last_event,
  updated = excluded.updated,
  events = events + 1,
  status = CASE WHEN excluded.result_seq > result_seq THEN excluded.status ELSE status END,
  disk = CASE WHEN excluded.result_seq > result_seq THEN excluded.disk ELSE disk END,
  started_seq = max(started_seq, excluded.started_seq),
  phase_seq = max(phase_seq, excluded.phase_seq),
  progress_seq = max(progress_seq, excluded.progress_seq),
  retry_seq = max(retry_seq, excluded.retry_seq),
  note_seq = max(note_seq, excluded.note_seq),
  result_seq = max(result_seq, excluded.result_seq)
)";

// In the order in which row_of() in store.cpp reads them.
inline constexpr const char* kDeploymentColumns = R"(
SELECT id, machine, request, first_event, begun, updated, events, disk,
  CASE WHEN status <> '' THEN status
       WHEN EXISTS (SELECT 1 FROM deployments AS later
                    WHERE later.machine = d.machine AND later.first_event > d.first_event) THEN 'lost'
       ELSE 'running' END
FROM deployments AS d
)";

// The last event of each type.
inline constexpr const char* kLandmarks = R"(
SELECT e.id, e.received, e.seq, e.machine, e.type, e.time, e.body
FROM deployments AS d JOIN events AS e ON e.deploy_id = d.id
  AND e.seq IN (d.started_seq, d.phase_seq, d.progress_seq, d.retry_seq, d.note_seq, d.result_seq)
WHERE d.id = ?1 ORDER BY e.seq
)";

}  // namespace ingot::agent
