//! `cargo xtask plots`: draws the tables of docs/BENCHMARKS.md, so that picture and numbers cannot differ.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::workspace;

/// How `cargo xtask plots` was called.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only check that the pictures are those of the tables
    #[arg(long)]
    check: bool,
}

/// One picture: columns of a table that have ratios, as bars beside each other.
struct Plot {
    file: &'static str,
    /// The heading above the table.
    heading: &'static str,
    title: &'static str,
    /// The columns, and what to call each of them.
    columns: &'static [(usize, &'static str)],
}

const PLOTS: [Plot; 2] = [
    Plot {
        file: "benchmarks-log.svg",
        heading: "## The durable log",
        title: "Synced batches per second, as a ratio to a bare write and fdatasync",
        columns: &[(1, "1 entry"), (2, "16 entries"), (3, "256 entries")],
    },
    Plot {
        file: "benchmarks-node.svg",
        heading: "## The node",
        title: "Operations per second of three nodes, as a ratio to one Redis that syncs each write",
        columns: &[(3, "ratio")],
    },
];

/// A row of a table, with the numbers to draw.
struct Row {
    name: String,
    values: Vec<f64>,
}

/// Draws all pictures, or checks those that are there.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.check { check() } else { PLOTS.iter().try_for_each(write) }
}

/// Checks that the pictures are those of the tables.
pub(crate) fn check() -> Result<()> {
    for plot in &PLOTS {
        let path = path(plot.file);
        let found = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        ensure!(found == draw(plot)?, "{} is not of the table: run `cargo xtask plots`", path.display());
    }
    Ok(())
}

fn write(plot: &Plot) -> Result<()> {
    let path = path(plot.file);
    fs::write(&path, draw(plot)?).with_context(|| format!("writing {}", path.display()))
}

fn path(name: &str) -> PathBuf {
    workspace::root().join("docs").join(name)
}

fn read(plot: &Plot) -> Result<Vec<Row>> {
    let text = fs::read_to_string(path("BENCHMARKS.md"))?;
    let section = text.split_once(plot.heading).with_context(|| format!("no heading {}", plot.heading))?.1;
    let lines =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    lines.skip(2).map(|line| parse(plot, line)).collect()
}

/// A number in brackets is the ratio; a cell without brackets is it itself.
fn parse(plot: &Plot, line: &str) -> Result<Row> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let value = |column: usize| {
        let cell = cells.get(column).with_context(|| format!("no column {column} in {line}"))?;
        let number = cell.split_once('(').map_or(*cell, |(_, ratio)| ratio.trim_end_matches(')'));
        number.parse().with_context(|| format!("no ratio in {cell}"))
    };
    let values = plot.columns.iter().map(|(column, _)| value(*column)).collect::<Result<_>>()?;
    Ok(Row { name: cells[0].to_owned(), values })
}

fn draw(plot: &Plot) -> Result<String> {
    let rows = read(plot)?;
    let mut svg = String::new();
    let bars = i32::try_from(plot.columns.len())?;
    let row_height = bars * BAR + GAP;
    let height = TOP + row_height * i32::try_from(rows.len())? + BOTTOM;
    let most = rows.iter().flat_map(|row| &row.values).fold(1.0_f64, |most, value| most.max(*value));
    let scale = f64::from(WIDTH - LEFT - RIGHT) / most;
    {
        let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        let text = |words: &str, at: (i32, i32), from: HPos, size: i32| {
            let style = ("sans-serif", size).into_font().color(&BLACK).pos(Pos::new(from, VPos::Center));
            area.draw_text(words, &style, at)
        };
        text(plot.title, (WIDTH / 2, TOP / 3), HPos::Center, 16)?;
        // One column needs no telling apart.
        for (at, (_, name)) in (0..).zip(plot.columns).filter(|_| bars > 1) {
            let x = LEFT + at * 130;
            area.draw(&Rectangle::new([(x, TOP - 26), (x + 12, TOP - 14)], COLOURS[at as usize].filled()))?;
            text(name, (x + 18, TOP - 20), HPos::Left, 13)?;
        }
        let mut y = TOP;
        for row in &rows {
            text(&row.name, (LEFT - 8, y + bars * BAR / 2), HPos::Right, 13)?;
            for (value, colour) in row.values.iter().zip(COLOURS) {
                let end = LEFT + pixels(value * scale);
                area.draw(&Rectangle::new([(LEFT, y), (end, y + BAR - 2)], colour.filled()))?;
                text(&format!("{value:.2}"), (end + 4, y + BAR / 2 - 1), HPos::Left, 11)?;
                y += BAR;
            }
            y += GAP;
        }
        let one = LEFT + pixels(scale);
        area.draw(&PathElement::new([(one, TOP - 6), (one, height - BOTTOM)], BLACK.mix(0.6)))?;
        area.present()?;
    }
    Ok(svg)
}

#[allow(clippy::cast_possible_truncation, reason = "within the picture")]
fn pixels(length: f64) -> i32 {
    length.round() as i32
}

const COLOURS: [RGBColor; 3] = [RGBColor(68, 119, 170), RGBColor(102, 204, 238), RGBColor(34, 136, 51)];
const WIDTH: i32 = 760;
const LEFT: i32 = 210;
const RIGHT: i32 = 50;
const TOP: i32 = 70;
const BOTTOM: i32 = 12;
const BAR: i32 = 13;
const GAP: i32 = 9;
