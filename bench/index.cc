// For bench/index-build.sh and bench/index-lookup.sh: an index of synthetic digests, and the same in SQLite
// and LMDB.
//   bench_index build FOLDER DIGESTS           writes FOLDER/bench.idx and prints seconds, bytes and peak memory
//   bench_index fill sqlite|lmdb FOLDER DIGESTS
//   bench_index look assay|assay-present|sqlite|lmdb FOLDER DIGESTS THREADS hits|misses
// Each prints one JSON object. Of each path there are kVersions versions, one of which is present.
#include <fmt/format.h>
#include <lmdb.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string_view>

#include "base/digest.h"
#include "base/thread.h"
#include "reference/index_writer.h"

namespace assay::reference {
namespace {

constexpr std::uint64_t kVersions = 5;
constexpr std::uint64_t kFilesInPackage = 100;
constexpr std::uint64_t kLookups = 4'000'000;  // of each thread

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
std::uint64_t PeakKiB() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss);
}
// splitmix64: as evenly spread as the bytes of a digest, and much faster to make.
std::uint64_t Mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31U);
}
Digest DigestOfNumber(std::uint64_t number) {
  Digest digest = Digest::Filled(HashAlg::kSha256, 0);
  for (std::uint64_t i = 0; i < 4; ++i) {
    const std::uint64_t word = Mix(number * 4 + i);
    std::copy_n(reinterpret_cast<const std::uint8_t*>(&word), 8, digest.data() + i * 8);
  }
  return digest;
}
// Numbers from `digests` on are of no file.
std::uint64_t Wanted(std::uint64_t random, std::uint64_t digests, bool hit) {
  return hit ? random % digests : digests + random % digests;
}

std::string PathOf(std::uint64_t package, std::uint64_t file) {
  constexpr const char* kFolders[] = {"/usr/bin/", "/usr/lib/x86_64-linux-gnu/", "/usr/share/", "/usr/lib/"};
  const std::uint64_t kind = Mix(package * kFilesInPackage + file) % 4;
  if (kind == 0) return fmt::format("{}tool{}-{}", kFolders[0], package, file);
  if (kind == 1) return fmt::format("{}libpart{}-{}.so.{}", kFolders[1], package, file, package % 7);
  return fmt::format("{}package{}/module{}/part-{}.py", kFolders[kind], package, file / 10, file);
}

Result<> Fill(IndexWriter& writer, std::uint64_t digests) {
  const std::uint64_t of_package = kFilesInPackage * kVersions;
  const std::uint64_t packages = (digests + of_package - 1) / of_package;
  std::uint32_t row = 0;
  std::uint64_t number = 0;
  for (std::uint64_t p = 0; p < packages; ++p) {
    for (std::uint64_t v = 0; v < kVersions; ++v, ++row) {
      const bool present = v + 1 == kVersions;
      ASSAY_TRY(writer.AddPackage(
          {.package = fmt::format("package{:08}", p),
           .version = fmt::format("1.{}-1", v),
           .architecture = "amd64",
           .note = "",
           .standing = present ? appraise::Standing::kGood : appraise::Standing::kSuperseded,
           .since_ms = present ? 0U : 1'700'000'000'000U}));
      for (std::uint64_t f = 0; f < kFilesInPackage && number < digests; ++f)
        ASSAY_TRY(writer.AddFile(row, PathOf(p, f), DigestOfNumber(number++), 0));
    }
  }
  return {};
}

Result<> Build(const std::string& folder, std::uint64_t digests) {
  const std::string file = folder + "/bench.idx";
  const double start = Now();
  ASSAY_ASSIGN(IndexWriter writer, IndexWriter::Make(folder));
  ASSAY_TRY(Fill(writer, digests));
  const double added = Now();
  ASSAY_TRY(writer.Write(file));
  const double written = Now();
  ASSAY_ASSIGN(const std::unique_ptr<Index> index, Index::Open(file));
  const double opened = Now();
  ASSAY_TRY(index->CheckAll());
  fmt::print(
      R"({{"digests":{},"seconds":{:.1f},"adding":{:.1f},"bytes":{},"bytes_per_digest":{:.2f},"peak_mib":{},)"
      R"("open_ms":{:.3f},"check_seconds":{:.1f},"fingerprint":"{}"}})"
      "\n",
      index->size(), written - start, added - start, std::filesystem::file_size(file),
      static_cast<double>(std::filesystem::file_size(file)) / static_cast<double>(index->size()),
      PeakKiB() / 1024, (opened - written) * 1e3, Now() - opened, index->Fingerprint());
  return {};
}

Error Failed(const char* library, const char* what) { return LibError(library, what == nullptr ? "" : what); }

// What the peers keep for each digest: a package and a path, as our rows of origins do.
struct Value {
  std::uint32_t package, path;
};
Value ValueOf(std::uint64_t number) {
  return {static_cast<std::uint32_t>(number / kFilesInPackage),
          static_cast<std::uint32_t>(number / kVersions)};
}
// The digests in their order, so that both peers are filled as fast as they can be.
std::vector<std::pair<Digest, Value>> Sorted(std::uint64_t digests, std::uint64_t part, std::uint64_t parts) {
  std::vector<std::pair<Digest, Value>> out;
  for (std::uint64_t i = 0; i < digests; ++i)
    if (const Digest d = DigestOfNumber(i); d.view()[0] * parts / 256 == part)
      out.emplace_back(d, ValueOf(i));
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return out;
}
constexpr std::uint64_t kParts = 16;

class Sqlite {
 public:
  ~Sqlite() {
    sqlite3_finalize(statement_);
    sqlite3_close(db_);
  }
  Result<> Open(const std::string& folder, const char* sql) {
    if (sqlite3_open((folder + "/bench.sqlite").c_str(), &db_) != SQLITE_OK) return Fail(Bad());
    for (const char* pragma :
         {"PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", "PRAGMA cache_size=-65536",
          "PRAGMA mmap_size=68719476736", "PRAGMA locking_mode=NORMAL",
          "CREATE TABLE IF NOT EXISTS d (digest BLOB PRIMARY KEY, package INT, path INT) WITHOUT ROWID"})
      if (sqlite3_exec(db_, pragma, nullptr, nullptr, nullptr) != SQLITE_OK) return Fail(Bad());
    if (sqlite3_prepare_v2(db_, sql, -1, &statement_, nullptr) != SQLITE_OK) return Fail(Bad());
    return {};
  }
  Result<> Fill(std::uint64_t digests) {
    for (std::uint64_t part = 0; part < kParts; ++part) {
      sqlite3_exec(db_, "BEGIN", nullptr, nullptr, nullptr);
      for (const auto& [digest, value] : Sorted(digests, part, kParts)) {
        sqlite3_bind_blob(statement_, 1, digest.view().data(), 32, SQLITE_STATIC);
        sqlite3_bind_int64(statement_, 2, value.package);
        sqlite3_bind_int64(statement_, 3, value.path);
        if (sqlite3_step(statement_) != SQLITE_DONE) return Fail(Bad());
        sqlite3_reset(statement_);
      }
      if (sqlite3_exec(db_, "COMMIT", nullptr, nullptr, nullptr) != SQLITE_OK) return Fail(Bad());
    }
    return {};
  }
  bool Has(const Digest& digest) {
    sqlite3_bind_blob(statement_, 1, digest.view().data(), 32, SQLITE_STATIC);
    const bool has = sqlite3_step(statement_) == SQLITE_ROW && sqlite3_column_int64(statement_, 0) >= 0;
    sqlite3_reset(statement_);
    return has;
  }

 private:
  Error Bad() { return Failed("sqlite", sqlite3_errmsg(db_)); }
  sqlite3* db_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
};

class Lmdb {
 public:
  ~Lmdb() { mdb_env_close(env_); }
  Result<> Open(const std::string& folder, std::uint64_t digests) {
    ASSAY_TRY(Check(mdb_env_create(&env_)));
    ASSAY_TRY(Check(mdb_env_set_mapsize(env_, (digests * 128) + (64U << 20U))));
    ASSAY_TRY(Check(
        mdb_env_open(env_, (folder + "/bench.mdb").c_str(), MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOTLS, 0644)));
    MDB_txn* txn = nullptr;
    ASSAY_TRY(Check(mdb_txn_begin(env_, nullptr, 0, &txn)));
    ASSAY_TRY(Check(mdb_dbi_open(txn, nullptr, 0, &dbi_)));
    return Check(mdb_txn_commit(txn));
  }
  Result<> Fill(std::uint64_t digests) {
    for (std::uint64_t part = 0; part < kParts; ++part) {
      MDB_txn* txn = nullptr;
      ASSAY_TRY(Check(mdb_txn_begin(env_, nullptr, 0, &txn)));
      for (auto& [digest, value] : Sorted(digests, part, kParts)) {
        MDB_val key{32, digest.data()};
        MDB_val data{sizeof(value), &value};
        ASSAY_TRY(Check(mdb_put(txn, dbi_, &key, &data, MDB_APPEND)));
      }
      ASSAY_TRY(Check(mdb_txn_commit(txn)));
    }
    return {};
  }
  // A transaction of one thread.
  Result<MDB_txn*> Read() {
    MDB_txn* txn = nullptr;
    ASSAY_TRY(Check(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn)));
    return txn;
  }
  bool Has(MDB_txn* txn, Digest digest) const {
    MDB_val key{32, digest.data()};
    MDB_val data{};
    return mdb_get(txn, dbi_, &key, &data) == 0 && data.mv_size == sizeof(Value);
  }

 private:
  static Result<> Check(int code) {
    if (code != 0) return Fail(Failed("lmdb", mdb_strerror(code)));
    return {};
  }
  MDB_env* env_ = nullptr;
  MDB_dbi dbi_ = 0;
};

// The processor time of this thread: what one core does in a second, also where others use it too.
double CpuNow() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// Looks up kLookups digests in each thread. mps: in all, by the clock; mps_core: of one thread, by processor
// time.
using Lookup = std::function<bool(const Digest&)>;
void Look(std::uint64_t digests, unsigned threads, bool hits, const std::vector<Lookup>& lookups) {
  std::atomic<std::uint64_t> found{0};
  std::vector<double> seconds(threads), cpu(threads);
  const auto work = [&](unsigned thread) {
    const auto round = [&](std::uint64_t seed) {
      std::uint64_t n = 0;
      for (std::uint64_t i = 0; i < kLookups; ++i)
        n += lookups[thread](DigestOfNumber(Wanted(Mix(seed + i), digests, hits))) ? 1 : 0;
      return n;
    };
    round(thread * kLookups);  // the pages come into memory
    const double start = Now();
    const double cpu_start = CpuNow();
    found += round((thread + threads) * kLookups);
    seconds[thread] = Now() - start;
    cpu[thread] = CpuNow() - cpu_start;
  };
  {
    std::vector<Thread> running;
    running.reserve(threads);
    for (unsigned t = 0; t < threads; ++t) running.push_back(Thread("look", [&work, t] { work(t); }));
  }
  double all = 0;
  double core = 0;
  for (const double s : seconds) all += static_cast<double>(kLookups) / s;
  for (const double s : cpu) core += static_cast<double>(kLookups) / s / threads;
  fmt::print(R"({{"mps":{:.3f},"mps_core":{:.3f},"found":{},"lookups":{}}})"
             "\n",
             all / 1e6, core / 1e6, found.load(), threads * kLookups);
}

Result<> LookIn(std::string_view what, const std::string& folder, std::uint64_t digests, unsigned threads,
                bool hits) {
  if (what == "assay" || what == "assay-present") {
    ASSAY_ASSIGN(const std::unique_ptr<Index> index, Index::Open(folder + "/bench.idx"));
    Lookup one = [&](const Digest& d) { return index->Knows(d); };
    if (what == "assay-present") one = [&](const Digest& d) { return index->Contains(d); };
    Look(digests, threads, hits, std::vector<Lookup>(threads, one));
  } else if (what == "sqlite") {
    std::vector<Sqlite> dbs(threads);
    std::vector<Lookup> lookups;
    for (Sqlite& db : dbs) {
      ASSAY_TRY(db.Open(folder, "SELECT package, path FROM d WHERE digest = ?"));
      lookups.push_back([&db](const Digest& d) { return db.Has(d); });
    }
    Look(digests, threads, hits, lookups);
  } else {
    Lmdb db;
    ASSAY_TRY(db.Open(folder, digests));
    std::vector<Lookup> lookups;
    std::vector<MDB_txn*> txns;
    for (unsigned t = 0; t < threads; ++t) {
      ASSAY_ASSIGN(MDB_txn * txn, db.Read());
      txns.push_back(txn);
      lookups.push_back([&db, txn](const Digest& d) { return db.Has(txn, d); });
    }
    Look(digests, threads, hits, lookups);
    for (MDB_txn* txn : txns) mdb_txn_abort(txn);
  }
  return {};
}

Result<> FillPeer(std::string_view what, const std::string& folder, std::uint64_t digests) {
  const double start = Now();
  std::string file = folder + "/bench.mdb";
  if (what == "sqlite") {
    file = folder + "/bench.sqlite";
    Sqlite db;
    ASSAY_TRY(db.Open(folder, "INSERT INTO d VALUES (?, ?, ?)"));
    ASSAY_TRY(db.Fill(digests));
  } else {
    Lmdb db;
    ASSAY_TRY(db.Open(folder, digests));
    ASSAY_TRY(db.Fill(digests));
  }
  struct stat st{};
  if (stat(file.c_str(), &st) != 0) return Fail(OsError("stat", file, errno));
  const auto bytes = static_cast<double>(st.st_blocks) * 512;
  fmt::print(R"({{"seconds":{:.1f},"bytes_per_digest":{:.2f},"peak_mib":{}}})"
             "\n",
             Now() - start, bytes / static_cast<double>(digests), PeakKiB() / 1024);
  return {};
}

Result<> Main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  const auto number = [&](int i) { return std::strtoull(argv[i], nullptr, 10); };
  if (what == "build" && argc == 4) return Build(argv[2], number(3));
  if (what == "fill" && argc == 5) return FillPeer(argv[2], argv[3], number(4));
  if (what == "look" && argc == 7)
    return LookIn(argv[2], argv[3], number(4), static_cast<unsigned>(number(5)),
                  std::string_view(argv[6]) == "hits");
  return Fail(UsageError("bench_index build|fill|look ..."));
}

}  // namespace
}  // namespace assay::reference

int main(int argc, char** argv) {
  const auto done = assay::reference::Main(argc, argv);
  if (done) return 0;
  fmt::print(stderr, "{}\n", done.error().Message());
  return 1;
}
