//! `raft-kv log stat` in words.

use std::collections::BTreeMap;
use std::io::{self, Write};

use raft_core::EntryKind;
use raft_storage::inspect::{Inspection, SegmentRole};

use super::verify::print_head;

/// Prints what takes how much room.
pub(super) fn print(found: &Inspection, out: &mut dyn Write) -> io::Result<()> {
    print_head(found, out)?;
    writeln!(out, "\nsegment      role         bytes        used     records  durable up to")?;
    for segment in &found.segments {
        writeln!(
            out,
            "{:08x}.wal {:<9} {:>9} {:>11} {:>11} {:>14}{}",
            segment.number,
            role_name(segment.role),
            segment.byte_count,
            segment.end_offset,
            segment.records,
            segment.durable_offset,
            if segment.is_whole { "" } else { "  not whole" }
        )?;
    }
    for group in &found.groups {
        writeln!(out, "\ngroup {}", group.group)?;
        match group.first() {
            Some(first) => writeln!(out, "  entries          {first} to {}", group.last())?,
            None => writeln!(out, "  entries          none behind {}", group.last())?,
        }
        for (kind, name) in KINDS {
            writeln!(out, "  {name:<16} {}", group.entry_count(kind))?;
        }
        writeln!(out, "  requests         {}, {} bytes", group.records, group.record_bytes)?;
        writeln!(out, "  entries in use   {} bytes", group.live_bytes)?;
        if let Some(oldest) = group.oldest_segment {
            writeln!(out, "  needs segments   from {oldest:08x} on")?;
        }
    }
    if !found.snapshots.is_empty() {
        writeln!(out, "\nsnapshot of       up to       bytes    chunks")?;
    }
    for snapshot in &found.snapshots {
        let note = if snapshot.is_whole { "" } else { "  not whole" };
        let (group, last, bytes) = (snapshot.group, snapshot.last.index, snapshot.byte_count);
        writeln!(out, "group {group:<6} {last:>10} {bytes:>11} {:>9}{note}", snapshot.chunks)?;
    }
    print_histogram(out, "requests by bytes", &found.record_sizes)?;
    print_histogram(out, "batches by entries", &found.batch_sizes)?;
    writeln!(out, "\nall files        {} bytes", found.byte_count())?;
    match amplification(found) {
        Some(times) => writeln!(out, "amplification    {times:.2} times the bytes in use"),
        None => writeln!(out, "amplification    nothing is in use"),
    }
}

/// How many bytes the files take for each byte of records and snapshots that is still needed.
#[allow(clippy::cast_precision_loss, reason = "a ratio with two digits")]
pub(super) fn amplification(found: &Inspection) -> Option<f64> {
    let records: u64 = found.groups.iter().map(|group| group.live_bytes).sum();
    let counting = found.groups.iter().filter_map(|group| group.snapshot.as_ref().ok()?.as_ref());
    let used = records + counting.map(|meta| meta.size).sum::<u64>();
    (used > 0).then(|| found.byte_count() as f64 / used as f64)
}

pub(super) fn role_name(role: SegmentRole) -> &'static str {
    match role {
        SegmentRole::LeftBehind => "left",
        SegmentRole::Full => "full",
        SegmentRole::Last => "last",
        SegmentRole::Prepared => "prepared",
        SegmentRole::Unknown => "unknown",
    }
}

pub(super) fn kind_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Command => "command",
        EntryKind::Empty => "empty",
        EntryKind::Membership => "membership",
        EntryKind::Hollow => "hollow",
    }
}

fn print_histogram(out: &mut dyn Write, title: &str, buckets: &BTreeMap<u64, u64>) -> io::Result<()> {
    if buckets.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    let most = buckets.values().copied().max().unwrap_or(0).max(1);
    for (size, count) in buckets {
        // At least one mark for what is there at all.
        let marks = usize::try_from((count * BAR_COLUMNS).div_ceil(most)).unwrap_or(0);
        writeln!(out, "  up to {size:>10} {count:>10} {}", "#".repeat(marks))?;
    }
    Ok(())
}

const KINDS: [(EntryKind, &str); 4] = [
    (EntryKind::Command, "  commands"),
    (EntryKind::Empty, "  empty"),
    (EntryKind::Membership, "  memberships"),
    (EntryKind::Hollow, "  hollow"),
];
/// How wide the longest bar of a histogram is.
const BAR_COLUMNS: u64 = 40;
