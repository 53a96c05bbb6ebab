//! Files and functions that a person can take in at once, and a first line that says what for.

use proc_macro2::Span;
use syn::visit::{self, Visit};

use super::table::{FILE_LINES_MAX, FUNCTION_LINES_MAX};
use super::tokens::is_test_only;
use super::{Finding, SourceFile};

/// Checks one file.
pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !file.text.starts_with("//!") {
        let message = "starts without a `//!` line that says what the file is for";
        findings.push(Finding::new(&file.path, 1, message));
    }
    let lines = lines_without_tests(file);
    if lines > FILE_LINES_MAX {
        let message = format!("{lines} lines without tests; the ceiling is {FILE_LINES_MAX}");
        findings.push(Finding::new(&file.path, 0, message));
    }
    let mut functions = Functions { file, findings };
    functions.visit_file(&file.syntax);
    functions.findings
}

/// Counts up to the tests at the end, if the file ends in tests.
fn lines_without_tests(file: &SourceFile) -> usize {
    let tail = match file.syntax.items.last() {
        Some(syn::Item::Mod(module)) if module.content.is_some() => {
            module.attrs.iter().find(|attribute| is_test_only(attribute))
        }
        _ => None,
    };
    match tail {
        Some(attribute) => attribute.pound_token.spans[0].start().line - 1,
        None => file.text.lines().count(),
    }
}

struct Functions<'a> {
    file: &'a SourceFile,
    findings: Vec<Finding>,
}

impl Functions<'_> {
    fn measure(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let line = |span: Span| span.start().line;
        let first = line(signature.fn_token.span);
        let lines = line(block.brace_token.span.close()) + 1 - first;
        if lines > FUNCTION_LINES_MAX {
            let name = &signature.ident;
            let message = format!("`{name}` takes {lines} lines; the ceiling is {FUNCTION_LINES_MAX}");
            self.findings.push(Finding::new(&self.file.path, first, message));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.measure(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        let file = SourceFile::parse("raft-core/src/log.rs", text).unwrap();
        check(&file).iter().map(ToString::to_string).collect()
    }

    fn function(head: &str, lines: usize) -> String {
        format!("{head} {{\n{}}}\n", "    drop(1);\n".repeat(lines - 2))
    }

    #[test]
    fn a_file_without_header_is_found() {
        let found = "raft-core/src/log.rs:1: starts without a `//!` line that says what the file is for";
        assert_eq!(messages("// Not it.\nfn f() {}\n"), [found]);
        assert!(messages("//! The log.\n").is_empty());
    }

    #[test]
    fn a_file_over_the_ceiling_is_found_and_tests_do_not_count() {
        let long = |lines: usize| format!("//! Long.\n{}", "const _: () = ();\n".repeat(lines - 1));
        assert!(messages(&long(500)).is_empty());
        let found = "raft-core/src/log.rs: 501 lines without tests; the ceiling is 500";
        assert_eq!(messages(&long(501)), [found]);
        let tests = "#[cfg(test)]\nmod tests {\n    fn f() {}\n}\n";
        assert!(messages(&(long(500) + tests)).is_empty());
        assert_eq!(messages(&(long(501) + tests)), [found]);
    }

    #[test]
    fn a_function_over_the_ceiling_is_found_wherever_it_stands() {
        let header = "//! Functions.\n";
        assert!(messages(&(header.to_owned() + &function("fn f()", 70))).is_empty());
        let found = "raft-core/src/log.rs:2: `f` takes 71 lines; the ceiling is 70";
        assert_eq!(messages(&(header.to_owned() + &function("fn f()", 71))), [found]);
        for outer in ["impl A", "trait A", "mod a", "fn a()"] {
            let text = format!("{header}{outer} {{ {} }}\n", function("fn f()", 71));
            assert!(messages(&text).contains(&found.to_owned()), "{outer}");
        }
    }
}
