//! Walks over a file's tokens and finds the paths in them, also inside macro calls, where a syntax
//! tree has nothing to say. Code for tests only is passed over.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// A path as written: `crate::log::{tail, marks}` counts as two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathUse {
    /// Its segments.
    pub(super) segments: Vec<String>,
    /// The inline modules around it, from the outside in.
    pub(super) inside: Vec<String>,
    /// Where it starts, counted from one.
    pub(super) line: usize,
}

/// Whether the attribute keeps its item out of all builds but those of tests.
pub(super) fn is_test_only(attribute: &syn::Attribute) -> bool {
    matches!(&attribute.meta, syn::Meta::List(list)
        if list.path.is_ident("cfg") && list.tokens.to_string() == "test")
}

/// All paths, single names included, in the order of the text.
pub(super) fn paths(tokens: TokenStream) -> Vec<PathUse> {
    let mut found = Vec::new();
    walk(tokens, &mut Vec::new(), &mut found);
    found
}

fn walk(tokens: TokenStream, inside: &mut Vec<String>, found: &mut Vec<PathUse>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        at += match &tokens[at..] {
            [TokenTree::Punct(pound), TokenTree::Group(group), rest @ ..]
                if pound.as_char() == '#' && is_cfg_test(&group.stream()) =>
            {
                2 + item_length(rest)
            }
            [TokenTree::Ident(keyword), TokenTree::Ident(name), TokenTree::Group(group), ..]
                if keyword == "mod" && group.delimiter() == Delimiter::Brace =>
            {
                inside.push(name.to_string());
                walk(group.stream(), inside, found);
                inside.pop();
                3
            }
            [TokenTree::Ident(first), rest @ ..] => {
                let end = path(vec![first.to_string()], first, rest, inside, found);
                1 + end
            }
            [TokenTree::Group(group), ..] => {
                walk(group.stream(), inside, found);
                1
            }
            _ => 1,
        };
    }
}

/// Records the path that goes on with `rest` and returns how many of its tokens belong to it.
fn path(
    mut segments: Vec<String>,
    first: &Ident,
    rest: &[TokenTree],
    inside: &mut Vec<String>,
    found: &mut Vec<PathUse>,
) -> usize {
    let mut length = 0;
    loop {
        match &rest[length..] {
            [a, b, TokenTree::Ident(next), ..] if is_colon(a) && is_colon(b) => {
                segments.push(next.to_string());
                length += 3;
            }
            [a, b, TokenTree::Group(group), ..]
                if is_colon(a) && is_colon(b) && group.delimiter() == Delimiter::Brace =>
            {
                branches(&segments, group.stream(), inside, found);
                return length + 3;
            }
            _ => {
                found.push(PathUse { segments, inside: inside.clone(), line: first.span().start().line });
                return length;
            }
        }
    }
}

/// Records each branch of `prefix::{..}`.
fn branches(prefix: &[String], group: TokenStream, inside: &mut Vec<String>, found: &mut Vec<PathUse>) {
    let tokens: Vec<_> = group.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        at += match &tokens[at..] {
            // The new name behind `as` is not a path.
            [TokenTree::Ident(keyword), _, ..] if keyword == "as" => 2,
            [TokenTree::Ident(first), rest @ ..] => {
                let segments = [prefix, &[first.to_string()]].concat();
                1 + path(segments, first, rest, inside, found)
            }
            _ => 1,
        };
    }
}

fn is_colon(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':')
}

fn is_cfg_test(attribute: &TokenStream) -> bool {
    attribute.to_string().replace(' ', "") == "cfg(test)"
}

/// How many tokens the next item takes: up to its semicolon or its body.
fn item_length(tokens: &[TokenTree]) -> usize {
    let is_end = |token: &TokenTree| match token {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Ident(_) | TokenTree::Literal(_) => false,
    };
    tokens.iter().position(is_end).map_or(tokens.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let paths = paths(text.parse().unwrap());
        paths.iter().map(|path| path.segments.join("::")).filter(|path| path.contains(':')).collect()
    }

    #[test]
    fn paths_are_found_in_imports_types_and_macros() {
        let text =
            "use crate::a::{self, b::{c as d, *}, e}; fn f(x: crate::t::T) { m!(crate::x::Y { z: 1 }); }";
        assert_eq!(
            found(text),
            ["crate::a::self", "crate::a::b::c", "crate::a::e", "crate::t::T", "crate::x::Y"]
        );
    }

    #[test]
    fn test_code_is_passed_over() {
        let text =
            "#[cfg(test)] mod tests { use crate::a::b; } #[cfg(test)] use crate::c::d; use crate::e::f;";
        assert_eq!(found(text), ["crate::e::f"]);
    }

    #[test]
    fn inline_modules_are_remembered() {
        let paths = paths("mod a { mod b { use super::c; } }".parse().unwrap());
        let path = paths.iter().find(|path| path.segments.len() == 2).unwrap();
        assert_eq!(path.inside, ["a", "b"]);
    }
}
