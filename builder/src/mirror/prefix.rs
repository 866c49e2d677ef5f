//! Prefix maps: the addresses that stand in for those that begin in a certain way.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

/// Beginnings of addresses, without a slash at the end, each with what stands in for it, in the order to try.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Prefixes(BTreeMap<String, Vec<String>>);

impl Prefixes {
    /// Adds a candidate for a beginning.
    pub(super) fn add(&mut self, prefix: String, base: String) {
        self.0.entry(prefix).or_default().push(base);
    }

    /// Takes the candidates of the beginnings for which there are none yet.
    pub(super) fn or(mut self, other: Self) -> Self {
        for (prefix, bases) in other.0 {
            self.0.entry(prefix).or_insert(bases);
        }
        self
    }

    /// What to ask instead of an address: the candidates of the longest beginning that it has, else itself.
    pub(super) fn redirect(&self, url: &str) -> Vec<String> {
        let rest = |prefix: &str| {
            let rest = url.strip_prefix(prefix)?;
            // `https://dl.example` is no beginning of `https://dl.example.org/x`.
            rest.starts_with('/').then(|| rest.to_owned())
        };
        let found = self.0.iter().filter_map(|(prefix, bases)| Some((prefix.len(), bases, rest(prefix)?)));
        match found.max_by_key(|(length, ..)| *length) {
            Some((_, bases, rest)) => bases.iter().map(|base| join(base, &rest)).collect(),
            None => vec![url.to_owned()],
        }
    }
}

/// A `file://` address is a path as it is.
fn join(base: &str, rest: &str) -> String {
    match base.starts_with("file://") {
        true => format!("{base}{}", percent_decode_str(rest).decode_utf8_lossy()),
        false => format!("{base}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::Prefixes;

    fn prefixes(pairs: &[(&str, &str)]) -> Prefixes {
        let mut prefixes = Prefixes::default();
        pairs.iter().for_each(|(prefix, base)| prefixes.add((*prefix).to_owned(), (*base).to_owned()));
        prefixes
    }

    #[test]
    fn the_longest_beginning_decides_and_its_candidates_stay_in_order() {
        let prefixes = prefixes(&[
            ("https://dl.example", "https://wide.example/dl"),
            ("https://dl.example/release", "http://one.example"),
            ("https://dl.example/release", "file:///srv/two"),
        ]);
        assert_eq!(
            prefixes.redirect("https://dl.example/release/a%2bb"),
            ["http://one.example/a%2bb", "file:///srv/two/a+b"]
        );
        assert_eq!(prefixes.redirect("https://dl.example/other"), ["https://wide.example/dl/other"]);
        for own in ["https://dl.example.org/release", "https://dl.example", "https://other.example/x"] {
            assert_eq!(prefixes.redirect(own), [own]);
        }
    }

    #[test]
    fn what_counts_more_replaces_all_candidates_of_a_beginning() {
        let first = prefixes(&[("https://a.example", "https://first.example")]);
        let second = prefixes(&[
            ("https://a.example", "https://second.example"),
            ("https://b.example", "https://second.example"),
        ]);
        let both = first.or(second);
        assert_eq!(both.redirect("https://a.example/x"), ["https://first.example/x"]);
        assert_eq!(both.redirect("https://b.example/x"), ["https://second.example/x"]);
    }
}
