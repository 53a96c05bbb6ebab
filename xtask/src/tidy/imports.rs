//! Imports inside a crate look one way: no cycle between its modules, and in raft-core the order of
//! its layers.
//!
//! A module is what stands directly below the crate's root, and a directory there is one module,
//! whose parts may know each other. The core is looked at more closely: in each of its layers the
//! parts (files or directories) count, and only a part and the `mod.rs` above it may know each other.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{CORE, CORE_LAYERS, Layer};
use super::tokens::{self, PathUse};
use super::{Finding, SourceFile};

/// A module that is looked at as a whole, as its path below the crate's root.
type Unit = Vec<String>;

/// Which unit uses which, with one place where it does.
type Edges = BTreeMap<(Unit, Unit), Place>;

#[derive(Debug, Clone)]
struct Place {
    path: String,
    line: usize,
}

/// Checks all crates.
pub(super) fn check(sources: &[SourceFile]) -> Vec<Finding> {
    let mut crates: BTreeMap<&str, Vec<&SourceFile>> = BTreeMap::new();
    for file in sources.iter().filter(|file| file.module.is_some()) {
        crates.entry(&file.krate).or_default().push(file);
    }
    let mut findings = Vec::new();
    for (krate, files) in crates {
        let edges = edges(&files);
        findings.extend(cycle(&edges));
        if krate == CORE {
            findings.extend(files.iter().filter_map(|file| without_layer(file)));
            findings.extend(edges.iter().filter_map(|((from, to), place)| against_order(from, to, place)));
        }
    }
    findings
}

fn edges(files: &[&SourceFile]) -> Edges {
    let units: BTreeSet<_> = files.iter().filter_map(|file| unit_of(file)).collect();
    let reexports = reexports(files);
    let mut edges = Edges::new();
    for file in files {
        let Some(from) = unit_of(file) else { continue };
        for path in tokens::paths(file.tokens.clone()) {
            let Some(mut target) = below_root(file, &path) else { continue };
            if let Some(origin) = target.first().and_then(|name| reexports.get(name)) {
                target.splice(..1, origin.iter().cloned());
            }
            let known =
                [2, 1].iter().filter_map(|&depth| target.get(..depth)).find(|unit| units.contains(*unit));
            let Some(to) = known else { continue };
            if !from.starts_with(to) && !to.starts_with(&from) {
                let place = Place { path: file.path.clone(), line: path.line };
                edges.entry((from.clone(), to.to_vec())).or_insert(place);
            }
        }
    }
    edges
}

fn unit_of(file: &SourceFile) -> Option<Unit> {
    let depth = if file.krate == CORE { 2 } else { 1 };
    let module = file.module.as_ref()?;
    (!module.is_empty()).then(|| module[..depth.min(module.len())].to_vec())
}

/// What the crate's root calls by a shorter name, and the full path of it.
fn reexports(files: &[&SourceFile]) -> BTreeMap<String, Vec<String>> {
    let mut reexports = BTreeMap::new();
    for root in files.iter().filter(|file| file.module.as_ref().is_some_and(Vec::is_empty)) {
        for item in &root.syntax.items {
            let syn::Item::Use(item) = item else { continue };
            let mut names = Vec::new();
            flatten(&item.tree, &mut Vec::new(), &mut names);
            for (mut path, name) in names {
                if path.first().is_some_and(|first| first == "crate" || first == "self") {
                    path.remove(0);
                }
                reexports.insert(name, path);
            }
        }
    }
    reexports
}

/// Lists the path of each imported item with the name it gets.
fn flatten(tree: &syn::UseTree, prefix: &mut Vec<String>, names: &mut Vec<(Vec<String>, String)>) {
    match tree {
        syn::UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, names);
            prefix.pop();
        }
        syn::UseTree::Name(name) => names.push((prefix.clone(), name.ident.to_string())),
        syn::UseTree::Rename(rename) => names.push((prefix.clone(), rename.rename.to_string())),
        syn::UseTree::Group(group) => {
            group.items.iter().for_each(|tree| flatten(tree, prefix, names));
        }
        syn::UseTree::Glob(_) => {}
    }
}

/// The path below the crate's root that a path goes to, if it goes that far up or is absolute.
fn below_root(file: &SourceFile, path: &PathUse) -> Option<Vec<String>> {
    let mut position: Vec<_> = file.module.iter().flatten().chain(&path.inside).cloned().collect();
    let mut segments = path.segments.as_slice();
    match segments {
        [first, rest @ ..] if first == "crate" => {
            position.clear();
            segments = rest;
        }
        [first, second, ..] if first == "self" && second == "super" => segments = &segments[1..],
        [first, ..] if first == "super" => {}
        _ => return None,
    }
    while let [first, rest @ ..] = segments
        && first == "super"
    {
        position.pop()?;
        segments = rest;
    }
    Some([position.as_slice(), segments].concat())
}

/// Finds a cycle and describes each step of it.
fn cycle(edges: &Edges) -> Option<Finding> {
    let units: BTreeSet<_> = edges.keys().map(|(from, _)| from).collect();
    let path = units.into_iter().find_map(|start| way_back(edges, start))?;
    let place = |step: &[&Unit]| &edges[&(step[0].clone(), step[1].clone())];
    let mut steps = Vec::new();
    for step in path.windows(2) {
        let Place { path, line } = place(step);
        steps.push(format!("{} uses {} ({path}:{line})", step[0].join("::"), step[1].join("::")));
    }
    let Place { path, line } = place(&path);
    Some(Finding::new(path, *line, format!("import cycle: {}", steps.join(", "))))
}

/// The shortest way from a unit back to itself, both ends included.
fn way_back<'a>(edges: &'a Edges, start: &'a Unit) -> Option<Vec<&'a Unit>> {
    let mut ways = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in &ways {
            let end = way[way.len() - 1];
            for (_, to) in edges.keys().filter(|(from, _)| from == end) {
                let next = [way.as_slice(), &[to]].concat();
                if to == start {
                    return Some(next);
                }
                if seen.insert(to) {
                    longer.push(next);
                }
            }
        }
        ways = longer;
    }
    None
}

fn layer_of(unit: &Unit) -> Option<(usize, &'static Layer)> {
    CORE_LAYERS.iter().enumerate().find(|(_, layer)| unit.first().is_some_and(|name| name == layer.name))
}

fn without_layer(file: &SourceFile) -> Option<Finding> {
    let unit = unit_of(file)?;
    let message = format!("module `{}` is no layer of xtask/src/tidy/table.rs", unit[0]);
    layer_of(&unit).is_none().then(|| Finding::new(&file.path, 0, message))
}

fn against_order(from: &Unit, to: &Unit, place: &Place) -> Option<Finding> {
    let ((from_step, from_layer), (to_step, to_layer)) = (layer_of(from)?, layer_of(to)?);
    let (from, to) = (from.join("::"), to.join("::"));
    let message = if from_step < to_step {
        format!("{from} must not see {to}: {} come before {}", from_layer.name, to_layer.name)
    } else if from_step == to_step && !from_layer.neighbours {
        format!("{from} must not see {to}: {} never call each other", from_layer.name)
    } else {
        return None;
    };
    Some(Finding::new(&place.path, place.line, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> =
            files.iter().map(|(path, text)| SourceFile::parse(path, text).unwrap()).collect();
        check(&sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_cycle_is_found_in_any_crate() {
        let found = messages(&[
            ("raft-storage/src/a.rs", "\nuse crate::b::B;"),
            ("raft-storage/src/b/mod.rs", "mod inner;"),
            ("raft-storage/src/b/inner.rs", "fn f() { m!(super::super::c::C) }"),
            ("raft-storage/src/c.rs", "use super::a;"),
        ]);
        assert_eq!(
            found,
            ["raft-storage/src/a.rs:2: import cycle: a uses b (raft-storage/src/a.rs:2), \
              b uses c (raft-storage/src/b/inner.rs:1), c uses a (raft-storage/src/c.rs:1)"]
        );
    }

    #[test]
    fn a_cycle_through_a_reexport_is_found() {
        let found = messages(&[
            ("raft-storage/src/lib.rs", "mod a; mod b; pub use crate::a::{A as Alpha, Other};"),
            ("raft-storage/src/a.rs", "use crate::b::B;"),
            ("raft-storage/src/b.rs", "use crate::Alpha;"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn parts_of_a_directory_and_tests_may_know_each_other() {
        let found = messages(&[
            ("raft-storage/src/a/mod.rs", "use self::x::X;"),
            ("raft-storage/src/a/x.rs", "use super::Y;\n#[cfg(test)]\nmod tests { use crate::b::B; }"),
            ("raft-storage/src/b.rs", "use crate::a::Y;"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_cycle_inside_a_layer_of_the_core_is_found() {
        let found = messages(&[
            ("raft-core/src/lib.rs", "pub use words::ids::Term;"),
            ("raft-core/src/words/mod.rs", "mod ids; mod entries;"),
            ("raft-core/src/words/ids.rs", "use super::entries::Entry;"),
            ("raft-core/src/words/entries.rs", "use crate::Term;"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("words::entries uses words::ids"), "{found:?}");
    }

    #[test]
    fn a_part_and_its_parent_may_know_each_other() {
        let found = messages(&[
            ("raft-core/src/corridor/mod.rs", "use self::step::Step; fn f() { crate::corridor::step::g(); }"),
            ("raft-core/src/corridor/step.rs", "use crate::corridor::Machine;"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_look_at_a_later_layer_is_found() {
        let found = messages(&[
            ("raft-core/src/books/log/mod.rs", "use crate::words::ids::Term;"),
            ("raft-core/src/words/ids.rs", "fn f(_: crate::books::log::runs::Run) {}"),
        ]);
        let message = "raft-core/src/words/ids.rs:1: words::ids must not see books::log: \
                       words come before books";
        assert!(found.contains(&message.to_owned()), "{found:?}");
    }

    #[test]
    fn a_room_that_sees_a_room_is_found() {
        let found = messages(&[
            ("raft-core/src/rooms/election.rs", "use crate::rooms::replication::send;"),
            ("raft-core/src/rooms/replication.rs", "use crate::books::Books;"),
            ("raft-core/src/books/mod.rs", ""),
        ]);
        let message = "raft-core/src/rooms/election.rs:1: rooms::election must not see \
                       rooms::replication: rooms never call each other";
        assert_eq!(found, [message]);
    }

    #[test]
    fn a_module_without_layer_is_found() {
        let message = "raft-core/src/attic.rs: module `attic` is no layer of xtask/src/tidy/table.rs";
        assert_eq!(messages(&[("raft-core/src/attic.rs", "")]), [message]);
    }
}
