//! Debian's control format: paragraphs of `Field: value` lines, as apt's sources, indexes and Release files have them.
//!
//! It owns the syntax (deb822(5)), not the meaning of a field.

/// One paragraph: its fields in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paragraph(Vec<(String, String)>);

impl Paragraph {
    /// A field's value, its lines trimmed and joined by `\n`. Names compare without case.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(field)).map(|(_, value)| value.as_str())
    }
}

/// The paragraphs of a text. Lines that are neither a field, its continuation nor a comment are passed over: apt is
/// the judge of its own files.
#[must_use]
pub fn paragraphs(text: &str) -> Vec<Paragraph> {
    let mut found = vec![Paragraph::default()];
    for line in text.lines() {
        let Some(current) = found.last_mut() else { break };
        if line.trim().is_empty() {
            if !current.0.is_empty() {
                found.push(Paragraph::default());
            }
        } else if line.starts_with('#') {
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = current.0.last_mut() {
                if !value.is_empty() {
                    value.push('\n');
                }
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            current.0.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    found.retain(|paragraph| !paragraph.0.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::paragraphs;

    #[test]
    fn continuations_comments_and_case() {
        let text = "# a comment\nTypes: deb\nURIs: one\n two\n# between\n\tthree\n\n\nPackage:kmod\n";
        let found = paragraphs(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].get("uris"), Some("one\ntwo\nthree"));
        assert_eq!(found[1].get("Package"), Some("kmod"));
        assert_eq!(found[1].get("Version"), None);
    }

    proptest::proptest! {
        #[test]
        fn what_was_written_is_read(fields in proptest::collection::btree_map("[A-Z][a-z0-9-]{0,8}", "[!-~]([ -~]{0,20}[!-~])?", 1..6)) {
            let text: String = fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            let found = paragraphs(&text);
            proptest::prop_assert_eq!(found.len(), 1);
            for (name, value) in &fields {
                // Names that differ only in case are one field.
                if fields.keys().filter(|other| other.eq_ignore_ascii_case(name)).count() == 1 {
                    proptest::prop_assert_eq!(found[0].get(name), Some(value.as_str()));
                }
            }
        }

        #[test]
        fn any_text_is_read_without_panic(text in "\\PC*") {
            let _ = paragraphs(&text);
        }
    }
}
