#include "cli/cmd_log.h"

namespace assay::cli {
namespace {

void AddShow(CLI::App& log, Session& session) {
  auto o = std::make_shared<ShowOptions>();
  CLI::App* show = log.add_subcommand("show", "Show a list's records");
  show->add_option("file", o->file, "The list; - is standard input (default: this machine's)");
  show->add_option("--path", o->path, "Only files whose path matches this glob (** also matches /)");
  show->add_option("--since", o->since, "Only what was loaded since then: 2026-11-30, 10m, 2h, 1d");
  show->add_option("--by", o->by, "Only what this process loaded: a program's name, uid:N or pid:N");
  show->add_option("--container", o->container, "Only what this container loaded: its id or name, UID:ID");
  auto* reference = show->add_option("--reference", o->references, "Indexes of reference values");
  show->add_flag("--unknown", o->unknown, "Only files that are not in the reference values")
      ->needs(reference);
  show->add_option("--context", o->context,
                   "File that says who loaded what, and when (context.jsonl of a round)");
  show->add_option("--bank", o->bank, "Bank of the list's columns, if the file's name does not tell it");
  show->add_flag("--full", o->full, "Whole digests, signatures and buffers");
  show->callback([o, &session] { session.Finish(ShowLog(*o, session)); });
}

void AddVerify(CLI::App& log, Session& session) {
  auto o = std::make_shared<VerifyOptions>();
  CLI::App* verify = log.add_subcommand("verify", "Replay a list and compare with PCR values");
  verify->add_option("file", o->file, "The list; - is standard input")->required();
  verify->add_option("--pcr-value", o->pcr_values, "Expected value of the PCR: ALG:INDEX:HEX, for each bank");
  verify->add_option("--bank", o->banks, "Replay in this bank too");
  verify->add_option("--list-bank", o->list_bank,
                     "Bank of the list's columns, if the file's name does not tell it");
  verify->add_option("--pcr", o->pcr, "PCR to replay")->capture_default_str()->check(CLI::Range(0, 23));
  auto* padded = verify->add_option("--padded-sha1", o->padded_sha1, "Bank whose hash the kernel lacked");
  verify
      ->add_flag("--padded-violations", o->padded_violations,
                 "In such a bank violations are padded too (Linux before 5.8)")
      ->needs(padded);
  auto* first = verify->add_option("--first-record", o->first_record, "Number of the file's first record");
  verify->add_option("--prefix", o->prefix, "The PCR before the first record: ALG:HEX, for each bank")
      ->needs(first);
  verify->callback([o, &session] { session.Finish(VerifyLog(*o, session)); });
}

void AddConvert(CLI::App& log, Session& session) {
  auto o = std::make_shared<ConvertOptions>();
  CLI::App* convert = log.add_subcommand("convert", "Write a list in another form or bank");
  convert->add_option("file", o->file, "The list; - is standard input")->required();
  convert->add_option("out", o->out, "The file to write; - is standard output")->required();
  convert->add_option("--to", o->to, "binary or ascii")
      ->capture_default_str()
      ->check(CLI::IsMember({"binary", "ascii"}));
  convert->add_option("--bank", o->bank, "Bank of the columns to write (default: unchanged)");
  convert->add_option("--list-bank", o->list_bank,
                      "Bank of the list's columns, if the file's name does not tell it");
  convert->callback([o, &session] { session.Finish(ConvertLog(*o, session)); });
}

void AddEdit(CLI::App& log, Session& session) {
  auto o = std::make_shared<EditOptions>();
  CLI::App* edit = log.add_subcommand("edit", "Tamper with a list, to test that verification detects it");
  edit->add_option("file", o->file, "The list")->required();
  edit->add_option("out", o->out, "The file for the edited list, in binary")->required();
  edit->add_option("--bank", o->bank, "Bank of the list's columns, if the file's name does not tell it");
  CLI::Option_group* how = edit->add_option_group("how");
  how->add_option("--remove", o->remove, "Leave out this record");
  how->add_option("--alter", o->alter, "Change this record's file digest, and its column to fit");
  how->add_option("--swap", o->swap, "Exchange two records: A,B");
  how->add_option("--truncate", o->truncate, "Keep only this many records");
  how->require_option(1);
  edit->callback([o, &session] { session.Finish(EditLog(*o, session)); });
}

void AddRedact(CLI::App& log, Session& session) {
  auto o = std::make_shared<RedactOptions>();
  CLI::App* redact = log.add_subcommand("redact", "Withhold others' records of a saved round, for a tenant");
  redact->add_option("folder", o->folder, "Folder written by 'assay attest --full --save'")->required();
  redact->add_option("out", o->out, "The folder to write, for 'assay appraise'")->required();
  redact->add_option("--container", o->container, "The tenant's container: its id or name, UID:ID")
      ->required();
  redact->callback([o, &session] { session.Finish(RedactRound(*o, session)); });
}

}  // namespace

void AddLog(CLI::App& app, Session& session) {
  CLI::App* log = app.add_subcommand("log", "Show, verify, convert measurement lists");
  log->require_subcommand(1);
  AddShow(*log, session);
  AddVerify(*log, session);
  AddConvert(*log, session);
  AddEdit(*log, session);
  AddRedact(*log, session);
}

}  // namespace assay::cli
