//! `raft-kv log dump`: entries or records, one per line.

use std::io::{self, Write};
use std::ops::ControlFlow;

use raft_core::{Entries, Entry, EntryKind, GroupId, LogIndex, Membership};
use raft_storage::inspect::{Inspector, LogRecord, RecordBatch, RecordContent};
use serde_json::{Value, json};

use super::operations::{describe, quote};
use super::stat::kind_name;
use super::{DumpArgs, EXIT_DAMAGED, ToolError, json, progress};

/// Prints lines until there are no more, or as many as asked for.
struct Printer<'a, W> {
    args: &'a DumpArgs,
    out: &'a mut W,
    lines: u64,
    failed: Option<io::Error>,
}

/// Prints what the log holds.
pub(super) fn run(args: &DumpArgs, out: &mut impl Write) -> Result<u8, ToolError> {
    let mut printer = Printer { args, out, lines: 0, failed: None };
    let show = |inspector: &Inspector| inspector.for_each_record(|record| printer.show(record));
    let damages = progress::with_bar(Inspector::new(&args.dir), show)?;
    if let Some(error) = printer.failed {
        return Err(error.into());
    }
    if damages.is_empty() {
        return Ok(0);
    }
    warn_of_damage();
    Ok(EXIT_DAMAGED)
}

#[allow(clippy::print_stderr, reason = "standard output belongs to the lines")]
fn warn_of_damage() {
    eprintln!("raft-kv: the log is damaged, so this is not all of it; see raft-kv log verify");
}

impl<W: Write> Printer<'_, W> {
    fn show(&mut self, record: &LogRecord) -> ControlFlow<()> {
        let flow = if self.args.records { self.record(record) } else { self.entries(record) };
        flow.unwrap_or_else(|error| {
            self.failed = Some(error);
            ControlFlow::Break(())
        })
    }

    fn entries(&mut self, record: &LogRecord) -> io::Result<ControlFlow<()>> {
        let RecordContent::Request { group, batches, .. } = &record.content else {
            return Ok(ControlFlow::Continue(()));
        };
        if !self.wants(*group) {
            return Ok(ControlFlow::Continue(()));
        }
        for entry in batches.iter().filter_map(|batch| batch.held.as_ref()).flat_map(Entries::iter) {
            if !(self.args.from..=self.args.to).contains(&entry.index.get()) {
                continue;
            }
            if self.lines == self.args.limit {
                return Ok(ControlFlow::Break(()));
            }
            let what = self.describe(&entry);
            let (index, term, bytes) = (entry.index, entry.term, entry.payload.len());
            let kind = kind_name(entry.kind);
            if self.args.json {
                let line = json!({
                    "group": group.get(), "index": index.get(), "term": term.get(), "kind": kind,
                    "bytes": bytes, "text": what,
                });
                writeln!(self.out, "{line}")?;
            } else {
                let line = format!("group {group} index {index} term {term} {kind} {bytes} bytes {what}");
                writeln!(self.out, "{}", line.trim_end())?;
            }
            self.lines += 1;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn record(&mut self, record: &LogRecord) -> io::Result<ControlFlow<()>> {
        let is_wanted = match &record.content {
            RecordContent::Request { group, batches, .. } => self.wants(*group) && self.touches(batches),
            RecordContent::Link { .. } | RecordContent::Seal | RecordContent::Unknown => {
                self.args.group.is_none() && self.has_no_range()
            }
        };
        if !is_wanted {
            return Ok(ControlFlow::Continue(()));
        }
        if self.lines == self.args.limit {
            return Ok(ControlFlow::Break(()));
        }
        self.lines += 1;
        if self.args.json {
            writeln!(self.out, "{}", record_json(record))?;
        } else {
            writeln!(self.out, "{}", record_text(record))?;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn wants(&self, group: GroupId) -> bool {
        self.args.group.is_none_or(|wanted| wanted == group.get())
    }

    fn has_no_range(&self) -> bool {
        (self.args.from, self.args.to) == (0, u64::MAX)
    }

    /// Whether a record has entries in the range, or no range is asked for.
    fn touches(&self, batches: &[RecordBatch]) -> bool {
        self.has_no_range()
            || batches.iter().any(|RecordBatch { written, .. }| {
                written.first().get() <= self.args.to && written.last().get() >= self.args.from
            })
    }

    fn describe(&self, entry: &Entry<'_>) -> String {
        match entry.kind {
            EntryKind::Command => describe(entry.payload, self.args.payloads),
            EntryKind::Membership => describe_membership(entry.payload),
            EntryKind::Empty | EntryKind::Hollow => String::new(),
        }
    }
}

fn describe_membership(payload: &[u8]) -> String {
    let Ok(membership) = Membership::decode(payload) else { return quote(payload) };
    let role = |id| if membership.is_voter(id) { "voter" } else { "learner" };
    let members = membership
        .members()
        .iter()
        .map(|member| format!("{} {} {}", role(member.id), member.id, quote(&member.context)));
    members.collect::<Vec<_>>().join(", ")
}

fn record_text(record: &LogRecord) -> String {
    let place = format!("{:08x}.wal byte {} {} bytes", record.segment, record.offset, record.byte_count);
    let mut words = vec![place];
    match &record.content {
        RecordContent::Link { previous_segment, previous_end, first_live } => words.push(format!(
            "link from segment {previous_segment:#x} byte {previous_end}, first live segment {first_live:#x}"
        )),
        RecordContent::Seal => words.push("seal".to_owned()),
        RecordContent::Request { group, mark, truncate_from, batches, hard_state } => {
            words.push(format!("group {group}"));
            words.extend(mark.as_ref().map(|new| format!("mark {}", new.mark.last)));
            words.extend(truncate_from.map(|from| format!("truncate from {from}")));
            words.extend(batches.iter().map(|RecordBatch { written, .. }| {
                let (first, last, kind) = (written.first(), written.last(), kind_name(written.kind()));
                format!("entries {first} to {last} term {} {kind}", written.term())
            }));
            words.extend(hard_state.map(|state| {
                let vote = state.vote.map_or("nobody".to_owned(), |vote| vote.to_string());
                format!("term {} vote {vote} commit {}", state.term, state.commit)
            }));
        }
        RecordContent::Unknown => words.push("unknown".to_owned()),
    }
    words.join(" ")
}

fn record_json(record: &LogRecord) -> Value {
    let content = match &record.content {
        RecordContent::Link { previous_segment, previous_end, first_live } => json!({
            "link": { "segment": previous_segment, "end": previous_end, "first_live": first_live }
        }),
        RecordContent::Seal => json!("seal"),
        RecordContent::Request { group, mark, truncate_from, batches, hard_state } => json!({
            "group": group.get(),
            "mark": mark.as_ref().map(|new| json::position(new.mark.last)),
            "truncate_from": truncate_from.map(LogIndex::get),
            "batches": batches.iter().map(batch_json).collect::<Vec<_>>(),
            "hard_state": hard_state.map(json::hard_state),
        }),
        RecordContent::Unknown => json!("unknown"),
    };
    json!({
        "segment": record.segment, "offset": record.offset, "bytes": record.byte_count, "content": content,
    })
}

fn batch_json(batch: &RecordBatch) -> Value {
    let written = &batch.written;
    json!({
        "first": written.first().get(),
        "last": written.last().get(),
        "term": written.term().get(),
        "kind": kind_name(written.kind()),
        "bytes": written.byte_count(),
        "held": batch.held.as_ref().map(|held| [held.first().get(), held.last().get()]),
    })
}
