//! Carries the comments of a `.proto` file into its descriptor, which the pure-Rust parser drops.
//!
//! Works line by line and relies on how our schema is written: a declaration starts a line, an
//! opening brace ends one (or the block is empty), comments are `//` lines right above what they
//! describe. Anything else is an error, so a comment cannot silently move to the wrong item.

use anyhow::{Context as _, Result, bail};
use prost_types::SourceCodeInfo;
use prost_types::source_code_info::Location;

/// Field numbers of `descriptor.proto`, which make up the path to an item.
const FILE_MESSAGES: i32 = 4;
const FILE_ENUMS: i32 = 5;
const MESSAGE_FIELDS: i32 = 2;
const MESSAGE_ONEOFS: i32 = 8;
const ENUM_VALUES: i32 = 2;

/// What the scanner is inside of.
enum Block {
    Message {
        path: Vec<i32>,
        fields: i32,
        oneofs: i32,
    },
    Enum {
        path: Vec<i32>,
        values: i32,
    },
    /// Its fields count as those of the message around it.
    Oneof,
}

#[derive(Default)]
struct Scanner {
    locations: Vec<Location>,
    blocks: Vec<Block>,
    pending: Vec<String>,
    messages: i32,
    enums: i32,
}

/// Finds the comment above each message, enum, oneof, field and value.
pub(super) fn source_info(proto: &str) -> Result<SourceCodeInfo> {
    let mut scanner = Scanner::default();
    for (number, line) in proto.lines().enumerate() {
        scanner.line(line.trim()).with_context(|| format!("line {}: `{line}`", number + 1))?;
    }
    if !scanner.blocks.is_empty() {
        bail!("a block is not closed");
    }
    // prost-build looks paths up by binary search.
    scanner.locations.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(SourceCodeInfo { location: scanner.locations })
}

impl Scanner {
    fn line(&mut self, line: &str) -> Result<()> {
        if let Some(comment) = line.strip_prefix("//") {
            self.pending.push(comment.to_owned());
            return Ok(());
        }
        let comment = std::mem::take(&mut self.pending);
        if line == "}" {
            self.blocks.pop().context("a closing brace too many")?;
            return Ok(());
        }
        let words: Vec<_> = line.split_whitespace().collect();
        match (self.blocks.last_mut(), words.as_slice()) {
            (_, []) | (None, ["syntax" | "package", ..]) => Ok(()),
            (None, ["message", _, opening]) => {
                let path = vec![FILE_MESSAGES, self.messages];
                self.messages += 1;
                self.describe(&path, &comment);
                self.open(opening, Block::Message { path, fields: 0, oneofs: 0 })
            }
            (None, ["enum", _, opening]) => {
                let path = vec![FILE_ENUMS, self.enums];
                self.enums += 1;
                self.describe(&path, &comment);
                self.open(opening, Block::Enum { path, values: 0 })
            }
            (Some(Block::Message { path, oneofs, .. }), ["oneof", _, opening]) => {
                let path = [path.as_slice(), &[MESSAGE_ONEOFS, *oneofs]].concat();
                *oneofs += 1;
                self.describe(&path, &comment);
                self.open(opening, Block::Oneof)
            }
            (Some(_), [_, ..]) if line.ends_with(';') && line.contains('=') => {
                let path = self.next_leaf()?;
                self.describe(&path, &comment);
                Ok(())
            }
            _ => bail!("not understood"),
        }
    }

    /// The path of the field or value that comes next in the innermost message or enum.
    fn next_leaf(&mut self) -> Result<Vec<i32>> {
        let block = self.blocks.iter_mut().rev().find(|block| !matches!(block, Block::Oneof));
        let (path, kind, count) = match block {
            Some(Block::Message { path, fields, .. }) => (path, MESSAGE_FIELDS, fields),
            Some(Block::Enum { path, values }) => (path, ENUM_VALUES, values),
            Some(Block::Oneof) | None => bail!("a field outside of a message"),
        };
        let leaf = [path.as_slice(), &[kind, *count]].concat();
        *count += 1;
        Ok(leaf)
    }

    /// prost-build wants a location for each item, with or without a comment.
    fn describe(&mut self, path: &[i32], comment: &[String]) {
        let leading_comments =
            (!comment.is_empty()).then(|| comment.iter().map(|line| format!("{line}\n")).collect());
        self.locations.push(Location { path: path.to_vec(), leading_comments, ..Location::default() });
    }

    fn open(&mut self, opening: &str, block: Block) -> Result<()> {
        match opening {
            "{" => self.blocks.push(block),
            "{}" => {}
            _ => bail!("expected `{{` or `{{}}` at the end of the line"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comments(proto: &str) -> Vec<(Vec<i32>, String)> {
        let info = source_info(proto).unwrap();
        info.location.into_iter().filter_map(|l| Some((l.path, l.leading_comments?))).collect()
    }

    #[test]
    fn comments_stay_with_their_items() {
        let proto = "// file\nsyntax = \"proto3\";\n\n// empty\nmessage A {}\n// b\nmessage B {\n  \
                     uint64 x = 1;\n  // choice\n  oneof y {\n    // in choice\n    A z = 2;\n  }\n}\n\
                     enum C {\n  // zero\n  C_ZERO = 0;\n}\n";
        assert_eq!(
            comments(proto),
            [
                (vec![4, 0], " empty\n".to_owned()),
                (vec![4, 1], " b\n".to_owned()),
                (vec![4, 1, 2, 1], " in choice\n".to_owned()),
                (vec![4, 1, 8, 0], " choice\n".to_owned()),
                (vec![5, 0, 2, 0], " zero\n".to_owned()),
            ]
        );
    }

    #[test]
    fn a_construct_we_do_not_use_is_refused() {
        assert!(source_info("service S {\n}\n").is_err());
        assert!(source_info("message A {\n  message B {\n  }\n}\n").is_err());
        assert!(source_info("message A {\n").is_err());
        assert!(source_info("}\n").is_err());
    }
}
