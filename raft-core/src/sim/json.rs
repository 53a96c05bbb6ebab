//! Writes JSON that may stand inside of an HTML script element.

use alloc::string::String;
use core::fmt::Write as _;

/// A JSON text that grows. Commas come by themselves.
#[derive(Debug, Default)]
pub(super) struct Json(String);

impl Json {
    /// `[`, what `fill` writes, `]`.
    pub(super) fn list(&mut self, fill: impl FnOnce(&mut Self)) {
        self.separate();
        self.0.push('[');
        fill(self);
        self.0.push(']');
    }

    /// `{`, what `fill` writes, `}`.
    pub(super) fn object(&mut self, fill: impl FnOnce(&mut Self)) {
        self.separate();
        self.0.push('{');
        fill(self);
        self.0.push('}');
    }

    /// A name in an object, and the value that `write` writes.
    pub(super) fn entry(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        self.text(name);
        self.0.push(':');
        write(self);
    }

    /// A name in an object, and a list of what `write` writes of each item.
    pub(super) fn entries<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        write: impl Fn(&mut Self, T),
    ) {
        self.entry(name, |json| json.list(|json| items.into_iter().for_each(|item| write(json, item))));
    }

    /// A value that was written before.
    pub(super) fn raw(&mut self, value: &str) {
        self.separate();
        self.0.push_str(value);
    }

    pub(super) fn number(&mut self, number: u64) {
        self.separate();
        write!(self.0, "{number}").expect("memory takes everything");
    }

    /// What `write` writes of a value, or `null`.
    pub(super) fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => write(self, value),
            None => self.raw("null"),
        }
    }

    /// A string. What could end the script element is escaped, and so is what old scripts take for the
    /// end of a line.
    pub(super) fn text(&mut self, text: &str) {
        self.separate();
        self.0.push('"');
        for char in text.chars() {
            match char {
                '"' | '\\' => self.0.extend(['\\', char]),
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                    write!(self.0, "\\u{:04x}", u32::from(char)).expect("memory takes everything");
                }
                _ => self.0.push(char),
            }
        }
        self.0.push('"');
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn separate(&mut self) {
        if !matches!(self.0.as_bytes().last(), None | Some(b'[' | b'{' | b':')) {
            self.0.push(',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn text_cannot_leave_its_script_element() {
        let mut json = Json::default();
        json.object(|json| {
            json.entry("a", |json| {
                json.list(|json| {
                    json.number(1);
                    json.text("</script>\"\n\\");
                    json.maybe(None, Json::number);
                });
            });
            json.entry("b", |json| json.list(|_| {}));
        });
        let expected = r#"{"a":[1,"\u003c/script\u003e\"\u000a\\",null],"b":[]}"#;
        assert_eq!(json.finish(), expected);
    }
}
