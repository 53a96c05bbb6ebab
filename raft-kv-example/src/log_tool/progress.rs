//! A bar on standard error for directories that take a while, if that is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use raft_storage::OpenError;
use raft_storage::inspect::Inspector;

/// Lets an inspector work while a bar shows how much it has read.
pub(super) fn with_bar<T>(
    inspector: Inspector,
    work: impl FnOnce(&Inspector) -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let bytes = inspector.bytes_to_read()?;
    if bytes < LONG_BYTES {
        return work(&inspector);
    }
    // It draws nothing where standard error is no terminal.
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let shown = bar.clone();
    let outcome = work(&inspector.on_read(move |count| shown.inc(count)));
    bar.finish_and_clear();
    outcome
}

/// Less than so many bytes are read before anybody looks.
const LONG_BYTES: u64 = 256 << 20;
