#include "cli/cmd_log.h"

namespace assay::cli {
namespace {

void AddShow(Command log, Session& session) {
  auto o = std::make_shared<ShowOptions>();
  Command show = log.AddCommand("show", "Show a list's records");
  show.AddOption("file", o->file, "The list; - is standard input (default: this machine's)");
  show.AddOption("--path", o->path, "Only files whose path matches this glob (** also matches /)");
  show.AddOption("--since", o->since, "Only what was loaded since then: 2026-11-30, 10m, 2h, 1d");
  show.AddOption("--by", o->by, "Only what this process loaded: a program's name, uid:N or pid:N");
  show.AddOption("--container", o->container, "Only what this container loaded: its id or name, UID:ID");
  const CommandOption reference = show.AddOption("--reference", o->references, "Indexes of reference values");
  show.AddFlag("--unknown", o->unknown, "Only files that are not in the reference values").Needs(reference);
  show.AddOption("--context", o->context,
                 "File that says who loaded what, and when (context.jsonl of a round)");
  show.AddOption("--bank", o->bank, "Bank of the list's columns, if the file's name does not tell it");
  show.AddFlag("--full", o->full, "Whole digests, signatures and buffers");
  show.OnRun([o, &session] { session.Finish(ShowLog(*o, session)); });
}

void AddVerify(Command log, Session& session) {
  auto o = std::make_shared<VerifyOptions>();
  Command verify = log.AddCommand("verify", "Replay a list and compare with PCR values");
  verify.AddOption("file", o->file, "The list; - is standard input").Required();
  verify.AddOption("--pcr-value", o->pcr_values, "Expected value of the PCR: ALG:INDEX:HEX, for each bank");
  verify.AddOption("--bank", o->banks, "Replay in this bank too");
  verify.AddOption("--list-bank", o->list_bank,
                   "Bank of the list's columns, if the file's name does not tell it");
  verify.AddOption("--pcr", o->pcr, "PCR to replay").ShowDefault().InRange(0, 23);
  const CommandOption padded =
      verify.AddOption("--padded-sha1", o->padded_sha1, "Bank whose hash the kernel lacked");
  verify
      .AddFlag("--padded-violations", o->padded_violations,
               "In such a bank violations are padded too (Linux before 5.8)")
      .Needs(padded);
  const CommandOption first =
      verify.AddOption("--first-record", o->first_record, "Number of the file's first record");
  verify.AddOption("--prefix", o->prefix, "The PCR before the first record: ALG:HEX, for each bank")
      .Needs(first);
  verify.OnRun([o, &session] { session.Finish(VerifyLog(*o, session)); });
}

void AddConvert(Command log, Session& session) {
  auto o = std::make_shared<ConvertOptions>();
  Command convert = log.AddCommand("convert", "Write a list in another form or bank");
  convert.AddOption("file", o->file, "The list; - is standard input").Required();
  convert.AddOption("out", o->out, "The file to write; - is standard output").Required();
  convert.AddOption("--to", o->to, "binary or ascii").ShowDefault().OneOf({"binary", "ascii"});
  convert.AddOption("--bank", o->bank, "Bank of the columns to write (default: unchanged)");
  convert.AddOption("--list-bank", o->list_bank,
                    "Bank of the list's columns, if the file's name does not tell it");
  convert.OnRun([o, &session] { session.Finish(ConvertLog(*o, session)); });
}

void AddEdit(Command log, Session& session) {
  auto o = std::make_shared<EditOptions>();
  Command edit = log.AddCommand("edit", "Tamper with a list, to test that verification detects it");
  edit.AddOption("file", o->file, "The list").Required();
  edit.AddOption("out", o->out, "The file for the edited list, in binary").Required();
  edit.AddOption("--bank", o->bank, "Bank of the list's columns, if the file's name does not tell it");
  Command how = edit.AddAlternatives("how");
  how.AddOption("--remove", o->remove, "Leave out this record");
  how.AddOption("--alter", o->alter, "Change this record's file digest, and its column to fit");
  how.AddOption("--swap", o->swap, "Exchange two records: A,B");
  how.AddOption("--truncate", o->truncate, "Keep only this many records");
  edit.OnRun([o, &session] { session.Finish(EditLog(*o, session)); });
}

void AddRedact(Command log, Session& session) {
  auto o = std::make_shared<RedactOptions>();
  Command redact = log.AddCommand("redact", "Withhold others' records of a saved round, for a tenant");
  redact.AddOption("folder", o->folder, "Folder written by 'assay attest --full --save'").Required();
  redact.AddOption("out", o->out, "The folder to write, for 'assay appraise'").Required();
  redact.AddOption("--container", o->container, "The tenant's container: its id or name, UID:ID").Required();
  redact.OnRun([o, &session] { session.Finish(RedactRound(*o, session)); });
}

}  // namespace

void AddLog(Command app, Session& session) {
  Command log = app.AddCommand("log", "Show, verify, convert measurement lists");
  log.RequireCommand();
  AddShow(log, session);
  AddVerify(log, session);
  AddConvert(log, session);
  AddEdit(log, session);
  AddRedact(log, session);
}

}  // namespace assay::cli
