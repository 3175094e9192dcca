#include "agent/osimage/catalog.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace ingot::agent {
namespace {

constexpr std::size_t kOffered = 8;

// Levenshtein's distance of two names.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row[b.size()];
}

// What one kind of object is called, and where it is found.
template <class Object>
struct Shelf {
  std::string_view kind;
  Result<std::optional<Object>> (Catalog::*find)(const std::string&);
  Result<std::vector<Object>> (Catalog::*list)();
};

template <class Object>
Result<Object> take(Catalog& catalog, const Shelf<Object>& shelf, const std::string& name,
                    const std::optional<Caller>& caller) {
  INGOT_TRY_ASSIGN(std::optional<Object> found, (catalog.*shelf.find)(name));
  if (found) {
    if (!caller || may(found->access, *caller)) return *std::move(found);
    const bool owned = !found->access.owner_user.empty() || !found->access.owner_team.empty();
    return fail(Errc::access_denied,
                fmt::format("{} may not use the {} '{}' of {}", describe(*caller), shelf.kind, name,
                            catalog.describe()),
                fmt::format("ask {} to add {} to its spec.access, with the verb get{}",
                            who_may_grant(found->access),
                            caller->user.empty() ? "the team" : "the user or a team",
                            owned ? "" : ", or to give it an owner"));
  }
  // A server may tell one object to who may not list them: what is not known is no reason to say
  // less of what is.
  const auto all = (catalog.*shelf.list)();
  if (!all && all.error().code() == Errc::cancelled) return tl::unexpected(all.error());
  if (!all)
    return fail(Errc::usage_manifest,
                fmt::format("there is no {} '{}' in {}; which there are could not be found out: {}",
                            shelf.kind, name, catalog.describe(), all.error().message()),
                "correct the name where it is referred to, or add what it names");
  std::vector<std::string> names;
  for (const Object& object : *all)
    if (!caller || may(object.access, *caller)) names.push_back(object.name);
  const std::size_t more = names.size() - std::min(names.size(), kOffered);
  std::string offered =
      fmt::format("{}", fmt::join(nearest_first(std::move(names), name, kOffered), ", "));
  if (more > 0) offered += fmt::format(" and {} more", more);
  if (offered.empty())
    offered = "no other can be offered";
  else
    offered = (caller ? describe(*caller) + " may use: " : "there are: ") + offered;
  return fail(
      Errc::usage_manifest,
      fmt::format("there is no {} '{}' in {}; {}", shelf.kind, name, catalog.describe(), offered),
      "correct the name where it is referred to, or add what it names");
}

}  // namespace

Result<OsImage> image_for(Catalog& catalog, const std::string& name,
                          const std::optional<Caller>& caller) {
  static constexpr Shelf<OsImage> kImages{"OSImage", &Catalog::find_image, &Catalog::list_images};
  return take(catalog, kImages, name, caller);
}

Result<SshKey> ssh_key_for(Catalog& catalog, const std::string& name,
                           const std::optional<Caller>& caller) {
  static constexpr Shelf<SshKey> kKeys{"SSHKey", &Catalog::find_ssh_key, &Catalog::list_ssh_keys};
  return take(catalog, kKeys, name, caller);
}

std::vector<std::string> nearest_first(std::vector<std::string> names, std::string_view wanted,
                                       std::size_t most) {
  std::vector<std::pair<std::size_t, std::string>> ranked;
  ranked.reserve(names.size());
  for (std::string& name : names) {
    const std::size_t far = distance(name, wanted);
    ranked.emplace_back(far, std::move(name));
  }
  std::ranges::sort(ranked);
  if (ranked.size() > most) ranked.resize(most);
  names.clear();
  for (auto& [far, name] : ranked) names.push_back(std::move(name));
  return names;
}

}  // namespace ingot::agent
