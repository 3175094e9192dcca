// The fleet as it is now, by server-sent events (docs/controller.md). Everything that is shown
// goes through textContent: names, URLs and messages come from machines and manifests.

const kToken = "ingot-token"; // in sessionStorage
const kFirstWait = 500; // ms before the stream is opened again; doubles
const kLongestWait = 10_000;
const kQuietLimit = 40_000; // ms without anything, not even a comment: the connection is dead

const machines = new Map();
let shown = ""; // the machine whose details are open

const at = (id) => document.getElementById(id);

// --- Talking to the controller ---------------------------------------------------------------------

class Refused extends Error {}

async function ask(path, options = {}) {
  const token = sessionStorage.getItem(kToken);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { ...options, headers, cache: "no-store" });
  if (answer.status === 401 || answer.status === 403) throw new Refused(await words(answer));
  if (!answer.ok) throw new Error(await words(answer));
  return answer;
}

async function words(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `the controller answered with status ${answer.status}`;
  }
}

const read = async (path) => (await ask(path)).json();

// Asks for the page's token until the controller takes one.
async function logIn(problem) {
  sessionStorage.removeItem(kToken);
  at("login-problem").textContent = problem;
  at("login-problem").hidden = problem === "";
  at("token").value = "";
  const dialog = at("login");
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  const token = at("token").value.trim();
  // What cannot be sent in a header would look as if there were no connection.
  if (!/^[\x21-\x7e]*$/.test(token)) return logIn("a token has none of these characters");
  sessionStorage.setItem(kToken, token);
}

// The events of a text/event-stream, as they come.
async function* eventsOf(answer, alive) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    alive();
    text += value;
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      const event = { type: "message", data: "" };
      for (const line of text.slice(0, end).split("\n")) {
        const colon = line.indexOf(":");
        if (colon < 1) continue; // a comment
        const field = line.slice(0, colon);
        const content = line.slice(colon + 1).replace(/^ /, "");
        if (field === "event") event.type = content;
        if (field === "data") event.data += (event.data ? "\n" : "") + content;
      }
      text = text.slice(end + 2);
      if (event.data) yield event;
    }
  }
}

// --- Words and numbers -----------------------------------------------------------------------------

const kUnits = ["B", "KiB", "MiB", "GiB", "TiB"];

function size(bytes) {
  let unit = 0;
  while (bytes >= 1024 && unit < kUnits.length - 1) {
    bytes /= 1024;
    ++unit;
  }
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${kUnits[unit]}`;
}

function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${String(seconds % 60).padStart(2, "0")} min`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")} h`;
}

const kReinstall = { once: "to be installed again", always: "installed at each request" };

const clock = (time) => (time ? new Date(time).toLocaleString() : "");

const kStates = {
  waiting: "waiting",
  running: "installing",
  succeeded: "done",
  failed: "failed",
  cancelled: "cancelled",
  lost: "lost",
};

// --- Drawing ---------------------------------------------------------------------------------------

function cell(row, text = "", name = "td") {
  const made = document.createElement(name);
  made.textContent = text;
  row.append(made);
  return made;
}

function part(parent, name, text, kind) {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  parent.append(made);
  return made;
}

function drawState(parent, state) {
  const made = part(parent, "span", kStates[state] ?? state, "state");
  made.dataset.state = state;
}

// What a deployment is at: its own state, or that there was none yet.
const stateOfMachine = (machine) => machine.deployment?.status ?? "waiting";

const errorText = (error) => (error.advice ? `${error.message} — ${error.advice}` : error.message);

// The row of a machine, in the order of names. It stays the same element: a row that is replaced while
// somebody clicks on it swallows the click.
function rowOf(name) {
  const body = at("machines").tBodies[0];
  const rows = [...body.rows];
  const there = rows.find((each) => each.dataset.machine === name);
  if (there) return there;
  const row = document.createElement("tr");
  row.dataset.machine = name;
  const header = cell(row, "", "th");
  header.scope = "row";
  part(header, "button", name).addEventListener("click", () => showDetails(name));
  for (const kind of ["", "", "", "number", "number", ""]) cell(row).className = kind;
  body.insertBefore(row, rows.find((each) => each.dataset.machine > name) ?? null);
  return row;
}

function drawMachine(machine) {
  const deployment = machine.deployment ?? {};
  const state = stateOfMachine(machine);
  const running = state === "running";
  const row = rowOf(machine.name);
  row.dataset.state = state;
  const [, image, words, progress, rate, remaining, updated] = row.cells;
  image.textContent = machine.os_image ?? "";

  words.replaceChildren();
  drawState(words, state);
  if (running && deployment.phase) part(words, "span", deployment.phase, "phase");
  if (running && deployment.last_retry) part(words, "span", `again: ${deployment.last_retry}`, "phase");
  if (machine.reinstall) part(words, "span", kReinstall[machine.reinstall] ?? "", "phase");
  if (deployment.error) part(words, "span", errorText(deployment.error), "error");
  if (machine.problem) part(words, "span", errorText(machine.problem), "error");

  const { percent } = deployment;
  progress.replaceChildren();
  if (percent !== null && percent !== undefined) {
    const bar = part(progress, "progress", "");
    bar.max = 100;
    bar.value = percent;
    bar.setAttribute("aria-label", `progress of ${machine.name}`);
    part(progress, "span", `${percent.toFixed(1)} %`, "percent");
  }
  rate.textContent = running && deployment.receive_rate ? `${size(deployment.receive_rate)}/s` : "";
  remaining.textContent = running && deployment.eta_seconds != null ? duration(deployment.eta_seconds) : "";
  updated.textContent = clock(deployment.updated ?? machine.asked);
}

function drawSummary() {
  const count = {};
  for (const machine of machines.values()) {
    const state = stateOfMachine(machine);
    count[state] = (count[state] ?? 0) + 1;
  }
  const parts = Object.keys(kStates).filter((state) => count[state]);
  at("summary").textContent = parts.map((state) => `${count[state]} ${kStates[state]}`).join(", ");
  at("no-machines").hidden = machines.size > 0;
}

function take(machine) {
  machines.set(machine.name, machine);
  drawMachine(machine);
  drawSummary();
  if (shown === machine.name) drawFacts(machine);
}

function accessOf(rule) {
  const who = [...(rule.users ?? []), ...(rule.teams ?? []).map((team) => `team ${team}`)];
  return `${who.join(", ") || "nobody"}: ${rule.verbs.join(", ")}`;
}

function drawImages(images) {
  const body = at("images").tBodies[0];
  body.replaceChildren();
  for (const image of images) {
    const row = body.insertRow();
    row.dataset.image = image.name;
    const name = cell(row, image.name, "th");
    name.scope = "row";
    const display = cell(row, image.display_name);
    if (image.description) part(display, "span", image.description, "phase");
    cell(row, image.url || (image.other_provider ? `for ${image.other_provider} alone` : ""));
    cell(row, [image.checksum_type, image.checksum].filter(Boolean).join(" "));
    const { user, team } = image.owner ?? {};
    cell(row, user ? `user ${user}` : team ? `team ${team}` : "");
    const access = cell(row);
    for (const rule of image.access ?? []) part(access, "span", accessOf(rule), "phase");
  }
  at("no-images").hidden = images.length > 0;
}

// --- One machine -----------------------------------------------------------------------------------

function drawFacts(machine) {
  const facts = at("details-facts");
  facts.replaceChildren();
  const add = (name, text) => {
    if (!text) return;
    part(facts, "dt", name);
    part(facts, "dd", text);
  };
  const deployment = machine.deployment ?? {};
  const state = stateOfMachine(machine);
  add("State", kStates[state] ?? state);
  add("Phase", deployment.phase);
  add("Image", machine.os_image);
  add("URL", deployment.image_url);
  add("Device", deployment.device);
  add("Disk", deployment.disk_state);
  add("Digest", deployment.digest);
  add("Received", deployment.bytes_received ? size(deployment.bytes_received) : "");
  add("Written", deployment.bytes_written ? size(deployment.bytes_written) : "");
  add("MAC addresses", (machine.mac_addresses ?? []).join(", "));
  add("System UUID", machine.system_uuid);
  add("Serial number", machine.serial_number);
  add("Last asked", clock(machine.asked));
  const error = machine.problem ?? deployment.error;
  at("details-error").textContent = error ? errorText(error) : "";
  at("details-error").hidden = !error;
}

async function drawHistory(name) {
  const { deployments } = await read(`/v1/machines/${encodeURIComponent(name)}/deployments`);
  const body = at("history").tBodies[0];
  body.replaceChildren();
  for (const deployment of deployments) {
    const row = body.insertRow();
    row.dataset.deployment = deployment.id;
    cell(row, clock(deployment.begun));
    cell(row, clock(deployment.updated));
    cell(row, deployment.image_url ?? "");
    drawState(cell(row), deployment.status);
    cell(row, deployment.error ? errorText(deployment.error) : "").className = "error";
  }
}

async function showDetails(name) {
  shown = name;
  at("details-title").textContent = name;
  at("reinstall-said").textContent = "";
  at("history").tBodies[0].replaceChildren();
  drawFacts(machines.get(name));
  at("details").showModal();
  await said(() => drawHistory(name));
}

at("details").addEventListener("close", () => {
  shown = "";
});

at("reinstall").addEventListener("click", () =>
  said(async () => {
    const name = shown;
    if (!confirm(`Overwrite the disk of ${name} at its next boot?`)) return;
    await ask(`/v1/machines/${encodeURIComponent(name)}/reinstall`, { method: "POST" });
    at("reinstall-said").textContent = "It will be installed when it asks next.";
  }),
);

// --- Life ------------------------------------------------------------------------------------------

// Does something that may fail, and says why it did.
async function said(what) {
  try {
    await what();
  } catch (error) {
    at("problem").textContent = error.message;
    at("problem").hidden = false;
  }
}

function connection(state, text) {
  at("connection").dataset.state = state;
  at("connection").textContent = text;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Which machines there are, and what is wrong with the manifests.
function takeFleet({ machines: names, problem }) {
  const there = new Set(names);
  for (const name of machines.keys()) if (!there.has(name)) machines.delete(name);
  for (const row of [...at("machines").tBodies[0].rows]) if (!there.has(row.dataset.machine)) row.remove();
  drawSummary();
  at("problem").textContent = problem ?? "";
  at("problem").hidden = !problem;
}

const readImages = async () => drawImages((await read("/v1/osimages")).osimages);

async function follow() {
  const ending = new AbortController();
  let timer;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => ending.abort(), kQuietLimit);
  };
  alive();
  try {
    // Opened before the images are read, so that no change between the two is missed. It begins with
    // every machine as it is.
    const answer = await ask("/v1/stream", { signal: ending.signal });
    await readImages();
    connection("live", "live");
    for await (const event of eventsOf(answer, alive)) {
      if (event.type === "fleet") takeFleet(JSON.parse(event.data));
      else if (event.type === "machine") take(JSON.parse(event.data));
      else if (event.type === "osimages") await readImages();
    }
  } finally {
    clearTimeout(timer);
    ending.abort();
  }
}

let wait = kFirstWait;
for (;;) {
  const begun = Date.now();
  try {
    await follow();
  } catch (error) {
    if (error instanceof Refused) {
      await logIn(sessionStorage.getItem(kToken) ? error.message : "");
      continue;
    }
  }
  if (Date.now() - begun > kLongestWait) wait = kFirstWait;
  connection("lost", "no connection; trying again");
  await pause(wait);
  wait = Math.min(wait * 2, kLongestWait);
}
