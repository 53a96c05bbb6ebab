//! What `raft-kv log` finds, as JSON. The names of the fields are promised in docs/OPERATIONS.md;
//! numbers that may exceed 2^53 and only name something are hexadecimal text.

use std::collections::BTreeMap;
use std::path::Path;

use raft_core::{EntryKind, HardState, LogIndex, NodeId, Position, SnapshotMeta};
use raft_storage::LostEntries;
use raft_storage::inspect::{
    FoundDamage, GroupReport, Inspection, Outcome, Refusal, SegmentReport, SnapshotReport,
};
use serde_json::{Value, json};

use super::stat::{amplification, kind_name, role_name};

/// One look at a directory.
pub(super) fn inspection(found: &Inspection, exit_code: u8) -> Value {
    let mark = found
        .sync_mark
        .map(|mark| json!({ "segment": mark.segment, "offset": mark.offset, "count": mark.count }));
    let torn_tail = found.torn_tail.as_ref().map(|tail| {
        json!({
            "path": path(&tail.path),
            "offset": tail.offset,
            "bytes": tail.byte_count,
            "kind": tail.damage.name(),
            "text": tail.damage.to_string(),
        })
    });
    json!({
        "dir": path(&found.dir),
        "outcome": outcome_name(found.outcome()),
        "exit_code": exit_code,
        "in_use_by": found.in_use_by,
        "steady": found.is_steady,
        "identity": found.identity.map(|identity| json!({
            "cluster": identity.cluster.to_string(),
            "node": identity.node.get(),
            "incarnation": found.incarnation.map(hex),
        })),
        "sync_mark": mark,
        "sync_mark_unreadable_slots": found.mark_loss.as_ref().map_or(0, |loss| loss.unreadable_slots),
        "segments": found.segments.iter().map(segment).collect::<Vec<_>>(),
        "groups": found.groups.iter().map(group).collect::<Vec<_>>(),
        "snapshots": found.snapshots.iter().map(snapshot).collect::<Vec<_>>(),
        "torn_tail": torn_tail,
        "carried_records": found.carried_records,
        "damages": found.damages.iter().map(damage).collect::<Vec<_>>(),
        "refusals": found.refusals.iter().map(refusal).collect::<Vec<_>>(),
        "unfinished_files": found.unfinished_files,
        "ignored_files": found.ignored_files,
        "bytes": found.byte_count(),
        "amplification": amplification(found),
        "record_sizes": histogram(&found.record_sizes),
        "batch_sizes": histogram(&found.batch_sizes),
    })
}

pub(super) fn position(position: Position) -> Value {
    json!({ "index": position.index.get(), "term": position.term.get() })
}

pub(super) fn hard_state(state: HardState) -> Value {
    let HardState { term, vote, commit } = state;
    json!({ "term": term.get(), "vote": vote.map(NodeId::get), "commit": commit.get() })
}

fn segment(segment: &SegmentReport) -> Value {
    json!({
        "number": segment.number,
        "path": path(&segment.path),
        "bytes": segment.byte_count,
        "role": role_name(segment.role),
        "records": segment.records,
        "first_offset": segment.first_offset,
        "end_offset": segment.end_offset,
        "durable_offset": segment.durable_offset,
        "whole": segment.is_whole,
    })
}

fn group(group: &GroupReport) -> Value {
    let runs: Vec<_> = group.runs.iter().map(|run| json!({
        "first": run.first.get(), "last": run.last.get(), "term": run.term.get(), "kind": kind_name(run.kind),
    })).collect();
    let (meta, refusal) = match &group.snapshot {
        Ok(meta) => (meta.as_ref().map(snapshot_meta), None),
        Err(error) => (None, Some(error.to_string())),
    };
    json!({
        "group": group.group.get(),
        "first": group.first().map(LogIndex::get),
        "last": group.last().get(),
        "mark": group.mark.as_ref().map(|mark| position(mark.last)),
        "hard_state": hard_state(group.hard_state),
        "runs": runs,
        "entries": {
            "command": group.entry_count(EntryKind::Command),
            "empty": group.entry_count(EntryKind::Empty),
            "membership": group.entry_count(EntryKind::Membership),
            "hollow": group.entry_count(EntryKind::Hollow),
        },
        "records": group.records,
        "record_bytes": group.record_bytes,
        "live_bytes": group.live_bytes,
        "oldest_segment": group.oldest_segment,
        "snapshot": meta,
        "snapshot_refusal": refusal,
    })
}

fn snapshot(snapshot: &SnapshotReport) -> Value {
    json!({
        "path": path(&snapshot.path),
        "bytes": snapshot.byte_count,
        "group": snapshot.group.get(),
        "last": position(snapshot.last),
        "state": snapshot.meta.as_ref().map(snapshot_meta),
        "chunks": snapshot.chunks,
        "whole": snapshot.is_whole,
    })
}

fn snapshot_meta(meta: &SnapshotMeta) -> Value {
    json!({ "last": position(meta.last), "bytes": meta.size, "crc32c": hex(meta.crc32c.into()) })
}

fn damage(found: &FoundDamage) -> Value {
    let checksums = found.damage.checksums();
    json!({
        "path": path(&found.path),
        "offset": found.offset,
        "kind": found.damage.name(),
        "text": found.damage.to_string(),
        "expected": checksums.map(|(expected, _)| hex(expected.into())),
        "found": checksums.map(|(_, found)| hex(found.into())),
        "lost": found.lost.as_ref().map(lost),
        "way_out": found.damage.way_out(),
        "fatal": found.is_fatal,
    })
}

fn lost(lost: &LostEntries) -> Value {
    json!({
        "group": lost.group.get(),
        "first": lost.first().map(LogIndex::get),
        "last": lost.last().map(LogIndex::get),
        "other_groups": lost.other_groups,
    })
}

fn refusal(refusal: &Refusal) -> Value {
    let group = match refusal {
        Refusal::Log(_) => None,
        Refusal::Group(group, _) => Some(group.get()),
    };
    json!({ "text": refusal.to_string(), "group": group })
}

fn histogram(buckets: &BTreeMap<u64, u64>) -> Value {
    buckets.iter().map(|(up_to, count)| json!({ "up_to": up_to, "count": count })).collect()
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Whole => "whole",
        Outcome::Warnings => "warnings",
        Outcome::Damaged => "damaged",
        Outcome::Unreadable => "unreadable",
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn hex(number: u64) -> String {
    format!("{number:#x}")
}
