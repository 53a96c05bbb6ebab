//! Imports inside a crate look one way: no cycle between its modules, and in raft-core the order of
//! its layers. A directory is one module here; its parts may know each other.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{CORE, CORE_LAYERS, Layer};
use super::tokens::{self, PathUse};
use super::{Finding, SourceFile};

/// Which module uses which, with one place where it does.
type Edges = BTreeMap<(String, String), Place>;

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
    let modules: BTreeSet<_> = files.iter().filter_map(|file| file.top_module()).collect();
    let reexports = reexports(files, &modules);
    let mut edges = Edges::new();
    for file in files {
        let Some(from) = file.top_module() else { continue };
        for path in tokens::paths(file.tokens.clone()) {
            let Some(name) = below_root(file, &path) else { continue };
            let to = reexports.get(&name).map_or(name.as_str(), String::as_str);
            if to != from && modules.contains(to) {
                let place = Place { path: file.path.clone(), line: path.line };
                edges.entry((from.to_owned(), to.to_owned())).or_insert(place);
            }
        }
    }
    edges
}

/// What the crate's root calls by a shorter name, and the module it comes from.
fn reexports(files: &[&SourceFile], modules: &BTreeSet<&str>) -> BTreeMap<String, String> {
    let mut reexports = BTreeMap::new();
    for root in files.iter().filter(|file| file.top_module().is_none()) {
        for item in &root.syntax.items {
            let syn::Item::Use(item) = item else { continue };
            let mut names = Vec::new();
            flatten(&item.tree, &mut Vec::new(), &mut names);
            for (path, name) in names {
                let module = path.iter().find(|part| !["crate", "self"].contains(&part.as_str()));
                if let Some(module) = module.filter(|module| modules.contains(module.as_str())) {
                    reexports.insert(name, module.clone());
                }
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

/// The first name below the crate's root that a path goes through, if it goes that far up.
fn below_root(file: &SourceFile, path: &PathUse) -> Option<String> {
    let mut segments = path.segments.iter();
    let mut position: Vec<_> = file.module.iter().flatten().chain(&path.inside).collect();
    let mut segment = segments.next()?;
    if segment == "crate" {
        position.clear();
        segment = segments.next()?;
    } else {
        if segment == "self" {
            segment = segments.next()?;
        }
        if segment != "super" {
            return None;
        }
        while segment == "super" {
            position.pop()?;
            segment = segments.next()?;
        }
    }
    position.is_empty().then(|| segment.clone())
}

/// Finds a cycle and describes each step of it.
fn cycle(edges: &Edges) -> Option<Finding> {
    let modules: BTreeSet<_> = edges.keys().map(|(from, _)| from.as_str()).collect();
    let path = modules.into_iter().find_map(|start| way_back(edges, start))?;
    let mut steps = Vec::new();
    for step in path.windows(2) {
        let place = &edges[&(step[0].to_owned(), step[1].to_owned())];
        steps.push(format!("{} uses {} ({}:{})", step[0], step[1], place.path, place.line));
    }
    let place = &edges[&(path[0].to_owned(), path[1].to_owned())];
    Some(Finding::new(&place.path, place.line, format!("import cycle: {}", steps.join(", "))))
}

/// The shortest way from a module back to itself, both ends included.
fn way_back<'a>(edges: &'a Edges, start: &'a str) -> Option<Vec<&'a str>> {
    let mut ways = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in &ways {
            let end = way[way.len() - 1];
            for (_, to) in edges.keys().filter(|(from, _)| from == end) {
                let next = [way.as_slice(), &[to.as_str()]].concat();
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

fn layer_of(module: &str) -> Option<(usize, &'static Layer)> {
    CORE_LAYERS.iter().enumerate().find(|(_, layer)| layer.modules.contains(&module))
}

fn without_layer(file: &SourceFile) -> Option<Finding> {
    let module = file.top_module()?;
    let message = format!("module `{module}` has no layer in xtask/src/tidy/table.rs");
    layer_of(module).is_none().then(|| Finding::new(&file.path, 0, message))
}

fn against_order(from: &str, to: &str, place: &Place) -> Option<Finding> {
    let ((from_step, from_layer), (to_step, to_layer)) = (layer_of(from)?, layer_of(to)?);
    let message = if from_step < to_step {
        format!("{from} ({}) must not see {to} ({}), a later layer", from_layer.name, to_layer.name)
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
    fn a_look_at_a_later_layer_is_found() {
        let found = messages(&[
            ("raft-core/src/log/mod.rs", "use crate::ids::Term;"),
            ("raft-core/src/ids.rs", "fn f(_: crate::log::Log) {}"),
        ]);
        assert!(found.contains(
            &"raft-core/src/ids.rs:1: ids (words) must not see log (books), a later layer".to_owned()
        ));
    }

    #[test]
    fn a_room_that_sees_a_room_is_found() {
        let found = messages(&[
            ("raft-core/src/election.rs", "use crate::replication::send;"),
            ("raft-core/src/replication.rs", "use crate::log::Log;"),
            ("raft-core/src/log.rs", ""),
        ]);
        let message = "raft-core/src/election.rs:1: election must not see replication: \
                       rooms never call each other";
        assert_eq!(found, [message]);
    }

    #[test]
    fn a_module_without_layer_is_found() {
        let message = "raft-core/src/attic.rs: module `attic` has no layer in xtask/src/tidy/table.rs";
        assert_eq!(messages(&[("raft-core/src/attic.rs", "")]), [message]);
    }
}
