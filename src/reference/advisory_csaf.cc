// CSAF 2.0 documents, security advisories and VEX. docs/formats/advisories.md
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/text.h"
#include "reference/advisory_forms.h"
#include "reference/version_order.h"

namespace assay::reference {
namespace {

constexpr std::size_t kMaxSteps = 8;  // of relationships, from a product to the package in it

// "%2B" as "+". A percent sign that is none stays as it is.
std::string PercentDecoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const Result<Bytes> byte =
        text[i] == '%' && i + 2 < text.size() ? FromHex(text.substr(i + 1, 2)) : Result<Bytes>(Bytes());
    if (byte && byte->size() == 1) {
      out += static_cast<char>((*byte)[0]);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

// A package URL (purl): "pkg:deb/debian/openssl@3.0.11-1?arch=source&distro=debian-12".
struct Purl {
  std::string type, name, version;
  std::map<std::string, std::string> qualifiers;
};
std::optional<Purl> PurlOf(std::string_view text) {
  if (!text.starts_with("pkg:")) return std::nullopt;
  text.remove_prefix(4);
  text = text.substr(0, text.find('#'));
  Purl out;
  if (const std::size_t mark = text.find('?'); mark != std::string_view::npos) {
    std::string_view rest = text.substr(mark + 1);
    text = text.substr(0, mark);
    while (!rest.empty()) {
      const std::string_view one = rest.substr(0, rest.find('&'));
      rest.remove_prefix(std::min(rest.size(), one.size() + 1));
      const std::size_t equals = one.find('=');
      if (equals != std::string_view::npos)
        out.qualifiers.emplace(one.substr(0, equals), PercentDecoded(one.substr(equals + 1)));
    }
  }
  if (const std::size_t at = text.rfind('@'); at != std::string_view::npos) {
    out.version = CleanText(PercentDecoded(text.substr(at + 1)));
    text = text.substr(0, at);
  }
  const std::size_t first = text.find('/'), last = text.rfind('/');
  if (first == std::string_view::npos) return std::nullopt;
  out.type = text.substr(0, first);
  out.name = CleanText(PercentDecoded(text.substr(last + 1)));
  return out;
}

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

// "bookworm", "debian-12", "debian-12.4".
bool IsRelease(std::string_view distro, const Release& release) {
  std::string wanted = Lower(release.ecosystem);
  std::replace(wanted.begin(), wanted.end(), ':', '-');
  return (!release.codename.empty() && distro == release.codename) || distro == wanted ||
         distro.starts_with(wanted + ".");
}

// "cpe:/o:debian:debian_linux:12", "cpe:2.3:o:canonical:ubuntu_linux:24.04:*:...".
bool IsReleaseCpe(std::string_view cpe, const Release& release) {
  const std::size_t colon = release.ecosystem.find(':');
  if (colon == std::string::npos) return false;
  const std::string family = Lower(release.ecosystem.substr(0, colon));
  const std::string product = ":" + family + "_linux:" + release.ecosystem.substr(colon + 1);
  const std::size_t at = cpe.find(product);
  if (at == std::string_view::npos) return false;
  const std::string_view rest = cpe.substr(at + product.size());
  return rest.empty() || rest.starts_with(":") || (family == "debian" && rest.starts_with("."));
}

// What the product tree says of one product.
struct Product {
  std::optional<Purl> purl;
  bool of_release = false;
  std::string component, platform;  // other products that it is made of
};

struct Statuses {
  std::set<std::string> fixed, affected, last;  // versions; an affected "" is all of them
};

class Csaf {
 public:
  Csaf(const FeedOptions& options, AdvisoryFeed& out) : options_(options), out_(out) {}

  Result<> Read(const JsonValue& root) {
    ASSAY_ASSIGN(const JsonValue document, root.Object("document"));
    ASSAY_ASSIGN(const JsonValue tracking, document.Object("tracking"));
    ASSAY_ASSIGN(const std::string id, tracking.Str("id"));
    id_ = CleanText(id);
    if (document.Has("aggregate_severity")) {
      ASSAY_ASSIGN(const JsonValue severity, document.Object("aggregate_severity"));
      ASSAY_ASSIGN(const std::string text, severity.Str("text"));
      severity_ = SeverityName(text);
    }
    if (root.Has("product_tree")) {
      ASSAY_ASSIGN(const JsonValue tree, root.Object("product_tree"));
      ASSAY_TRY(Tree(tree));
    }
    if (!root.Has("vulnerabilities")) return {};
    ASSAY_ASSIGN(const JsonValue list, root.Array("vulnerabilities"));
    return list.Each([&](const JsonValue& v) { return Vulnerability(v); });
  }

 private:
  Result<> Tree(const JsonValue& of) {
    if (of.Has("branches")) {
      ASSAY_ASSIGN(const JsonValue list, of.Array("branches"));
      ASSAY_TRY(list.Each([&](const JsonValue& v) { return Tree(v); }));
    }
    if (of.Has("product")) {
      ASSAY_ASSIGN(const JsonValue product, of.Object("product"));
      ASSAY_TRY(TakeProduct(product));
    }
    if (of.Has("full_product_names")) {
      ASSAY_ASSIGN(const JsonValue list, of.Array("full_product_names"));
      ASSAY_TRY(list.Each([&](const JsonValue& v) { return TakeProduct(v); }));
    }
    if (!of.Has("relationships")) return {};
    ASSAY_ASSIGN(const JsonValue list, of.Array("relationships"));
    return list.Each([&](const JsonValue& v) -> Result<> {
      ASSAY_ASSIGN(const JsonValue name, v.Object("full_product_name"));
      ASSAY_ASSIGN(const std::string id, name.Str("product_id"));
      ASSAY_TRY(TakeProduct(name));
      Product& product = products_[id];
      ASSAY_ASSIGN(product.component, v.Str("product_reference"));
      ASSAY_ASSIGN(product.platform, v.Str("relates_to_product_reference"));
      return {};
    });
  }

  Result<> TakeProduct(const JsonValue& of) {
    ASSAY_ASSIGN(const std::string id, of.Str("product_id"));
    Product& product = products_[id];
    if (!of.Has("product_identification_helper")) return {};
    ASSAY_ASSIGN(const JsonValue helper, of.Object("product_identification_helper"));
    if (helper.Has("cpe")) {
      ASSAY_ASSIGN(const std::string cpe, helper.Str("cpe"));
      product.of_release = IsReleaseCpe(cpe, options_.release);
    }
    if (!helper.Has("purl")) return {};
    ASSAY_ASSIGN(const std::string purl, helper.Str("purl"));
    product.purl = PurlOf(purl);
    if (!product.purl) return {};
    const auto distro = product.purl->qualifiers.find("distro");
    if (distro != product.purl->qualifiers.end())
      product.of_release = IsRelease(distro->second, options_.release);
    return {};
  }

  // The package that a product is, or has as its component, and whether any of them names the release.
  std::optional<Purl> PackageOf(std::string id) const {
    bool of_release = false;
    for (std::size_t steps = 0; steps < kMaxSteps; ++steps) {
      const auto found = products_.find(id);
      if (found == products_.end()) return std::nullopt;
      const Product& product = found->second;
      of_release |= product.of_release;
      if (const auto platform = products_.find(product.platform); platform != products_.end())
        of_release |= platform->second.of_release;
      if (product.purl) return of_release && product.purl->type == "deb" ? product.purl : std::nullopt;
      id = product.component;
    }
    return std::nullopt;
  }

  // The source package: `upstream` names that of a package that is built from another source.
  static std::string SourceOf(const Purl& purl) {
    const auto upstream = purl.qualifiers.find("upstream");
    if (upstream == purl.qualifiers.end()) return purl.name;
    return CleanText(std::string_view(upstream->second).substr(0, upstream->second.find('@')));
  }

  Result<> Vulnerability(const JsonValue& of) {
    std::string id = id_;
    if (of.Has("cve")) {
      ASSAY_ASSIGN(const std::string cve, of.Str("cve"));
      id = CleanText(cve);
    }
    if (!of.Has("product_status")) return {};
    ASSAY_ASSIGN(const JsonValue status, of.Object("product_status"));
    std::map<std::string, Statuses> by_source;
    for (const auto& [name, versions] :
         {std::pair<const char*, std::set<std::string> Statuses::*>("fixed", &Statuses::fixed),
          {"first_fixed", &Statuses::fixed},
          {"known_affected", &Statuses::affected},
          {"first_affected", &Statuses::affected},
          {"last_affected", &Statuses::last}}) {
      if (!status.Has(name)) continue;
      ASSAY_ASSIGN(const std::vector<std::string> ids, status.Strings(name));
      for (const std::string& product : ids) {
        const std::optional<Purl> package = PackageOf(product);
        if (!package) continue;
        if (package->version.empty() && versions != &Statuses::affected)
          ++out_.not_understood;  // a fix without a version
        else
          (by_source[SourceOf(*package)].*versions).insert(package->version);
      }
    }
    ASSAY_ASSIGN(const std::string severity, SeverityOf(of));
    for (const auto& [source, statuses] : by_source) Put(source, statuses, id, severity);
    return {};
  }

  Result<std::string> SeverityOf(const JsonValue& of) const {
    std::string out = severity_;
    if (of.Has("scores")) {
      ASSAY_ASSIGN(const JsonValue list, of.Array("scores"));
      ASSAY_TRY(list.Each([&](const JsonValue& v) -> Result<> {
        for (const char* version : {"cvss_v3", "cvss_v4"}) {
          if (!v.Has(version)) continue;
          ASSAY_ASSIGN(const JsonValue score, v.Object(version));
          if (!score.Has("baseSeverity")) continue;
          ASSAY_ASSIGN(const std::string text, score.Str("baseSeverity"));
          if (const std::string name = SeverityName(text); !name.empty()) out = name;
        }
        return {};
      }));
    }
    if (!of.Has("threats")) return out;
    // The distribution's own word weighs more than the score.
    ASSAY_ASSIGN(const JsonValue list, of.Array("threats"));
    ASSAY_TRY(list.Each([&](const JsonValue& v) -> Result<> {
      ASSAY_ASSIGN(const std::string category, v.Str("category"));
      if (category != "impact") return {};
      ASSAY_ASSIGN(const std::string text, v.Str("details"));
      if (const std::string name = SeverityName(text); !name.empty()) out = name;
      return {};
    }));
    return out;
  }

  void Put(const std::string& source, const Statuses& statuses, const std::string& id,
           const std::string& severity) {
    FeedEntry entry;
    entry.source = source;
    entry.advisory = {.id = id, .record = id == id_ ? "" : id_, .severity = severity, .fixed = ""};
    for (const std::string& version : statuses.fixed)  // the oldest: what is older has it
      if (entry.advisory.fixed.empty() || CompareVersions(version, entry.advisory.fixed) < 0)
        entry.advisory.fixed = version;
    for (const std::string& version : statuses.last)
      if (entry.last.empty() || CompareVersions(version, entry.last) > 0) entry.last = version;
    if (statuses.fixed.empty() && statuses.last.empty() && statuses.affected.empty()) return;
    const bool all = statuses.affected.contains("");
    if (!all) entry.versions.assign(statuses.affected.begin(), statuses.affected.end());
    // A fixed version that is affected too says nothing that could be believed of it.
    std::erase_if(entry.versions, [&](const std::string& v) { return statuses.fixed.contains(v); });
    TakeEntry(std::move(entry), options_, out_);
  }

  const FeedOptions& options_;
  AdvisoryFeed& out_;
  std::string id_, severity_;
  std::map<std::string, Product> products_;
};

}  // namespace

bool IsCsaf(const JsonValue& root) {
  if (!root.Has("document")) return false;
  const Result<JsonValue> document = root.Object("document");
  return document && document->Has("csaf_version");
}

Result<> ReadCsaf(const JsonValue& root, const FeedOptions& options, AdvisoryFeed& out) {
  return Csaf(options, out).Read(root);
}

}  // namespace assay::reference
