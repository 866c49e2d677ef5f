//! When a Debian source package was released: what its programs say about when they were built, so that a newer lock
//! leaves their bytes alone. The format is deb-changelog(5).

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use fs_err as fs;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Where a source package says it.
const CHANGELOG: &str = "debian/changelog";

/// The date of the newest entry of an unpacked source's changelog, in seconds since 1970.
///
/// # Errors
/// When there is no changelog, or no date in it.
pub(super) fn released(source: &Path) -> io::Result<i64> {
    for line in BufReader::new(fs::File::open(source.join(CHANGELOG))?).split(b'\n') {
        let line = line?;
        // Names may be of any character set; the line of the date says who made the release.
        let line = String::from_utf8_lossy(&line);
        if let Some(trailer) = line.strip_prefix(" -- ") {
            let date = trailer.rsplit_once(">  ").map_or(trailer, |(_, date)| date).trim_end();
            return OffsetDateTime::parse(date, &Rfc2822)
                .map(OffsetDateTime::unix_timestamp)
                .map_err(|_| io::Error::other(format!("`{CHANGELOG}` has no date in ` -- {trailer}`")));
        }
    }
    Err(io::Error::other(format!("`{CHANGELOG}` has no line with a date")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::released;

    fn of(changelog: &[u8]) -> Result<i64, String> {
        let source = tempfile::tempdir().unwrap();
        fs_err::create_dir(source.path().join("debian")).unwrap();
        fs_err::write(source.path().join("debian/changelog"), changelog).unwrap();
        released(source.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_newest_entry_dates_a_source() {
        let text = b"pause (2-1) unstable; urgency=low\n\n  * Fix\n\n -- J\xf6rg <j@example.org>  Sat, 12 Sep 2026 09:55:41 +0200\n\n\
            pause (1-1) unstable; urgency=low\n\n -- J <j@example.org>  Fri, 11 Sep 2026 00:00:00 +0000\n";
        assert_eq!(of(text), Ok(1_789_199_741));
    }

    #[test]
    fn a_source_without_a_date_is_refused() {
        insta::assert_snapshot!(of(b"pause (1-1) unstable\n").unwrap_err(), @"`debian/changelog` has no line with a date");
        insta::assert_snapshot!(of(b" -- J <j@example.org>  today\n").unwrap_err(), @"`debian/changelog` has no date in ` -- J <j@example.org>  today`");
    }

    proptest! {
        #[test]
        fn no_date_ends_in_a_panic(date in "[0-9A-Za-z:+, >-]*") {
            let _ = of(format!(" -- a <b>  {date}\n").as_bytes());
        }
    }
}
