//! What raft-core must not use, because the same inputs would no longer give the same outputs or
//! because it would no longer run everywhere.

use proc_macro2::{TokenStream, TokenTree};

use super::table::{CORE, CORE_FORBIDDEN};
use super::tokens;
use super::{Finding, SourceFile};

/// Checks one file, if it is the core's and not a test.
pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    if file.krate != CORE || file.module.is_none() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for path in tokens::paths(file.tokens.clone()) {
        for (forbidden, reason) in CORE_FORBIDDEN {
            let forbidden_segments: Vec<_> = forbidden.split("::").collect();
            if path.segments.windows(forbidden_segments.len()).any(|part| part == forbidden_segments) {
                let message = format!("`{forbidden}` in the core: {reason}");
                findings.push(Finding::new(&file.path, path.line, message));
            }
        }
    }
    floats(file.tokens.clone(), &file.path, &mut findings);
    findings
}

fn floats(tokens: TokenStream, path: &str, findings: &mut Vec<Finding>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => floats(group.stream(), path, findings),
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let is_float = match syn::parse_str(&text) {
                    Ok(syn::Lit::Float(_)) => true,
                    Ok(syn::Lit::Int(integer)) => integer.suffix().starts_with('f'),
                    _ => false,
                };
                if is_float {
                    let message = format!("float `{text}` in the core: floats round differently");
                    findings.push(Finding::new(path, literal.span().start().line, message));
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<String> {
        check(&SourceFile::parse(path, text).unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn everything_forbidden_is_found() {
        for (forbidden, reason) in CORE_FORBIDDEN {
            let text = match forbidden {
                "unsafe" => "fn f() { unsafe {} }".to_owned(),
                path => format!("fn f() {{ {path}::new(); }}"),
            };
            let found = format!("raft-core/src/a.rs:1: `{forbidden}` in the core: {reason}");
            assert!(messages("raft-core/src/a.rs", &text).contains(&found), "{forbidden}");
        }
        assert_eq!(messages("raft-core/src/a.rs", "use std::{fmt, time};").len(), 1);
        for float in ["1.5", "1e5", "2f64"] {
            let text = format!("const A: u8 = ({float}) as u8;");
            assert_eq!(messages("raft-core/src/a.rs", &text).len(), 1, "{float}");
        }
    }

    #[test]
    fn tests_and_other_crates_are_free() {
        let text = "use std::collections::HashMap;";
        assert!(messages("raft-storage/src/a.rs", text).is_empty());
        assert!(messages("raft-core/tests/a.rs", text).is_empty());
        assert!(messages("raft-core/src/a.rs", &format!("#[cfg(test)] mod tests {{ {text} }}")).is_empty());
        assert!(messages("raft-core/src/a.rs", "#![forbid(unsafe_code)] //! A thread at a time.").is_empty());
    }
}
