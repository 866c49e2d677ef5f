//! Tests that need what is not here. `./test` has all of it installed: there a test that is skipped is one that failed.

/// Says why a test does not run.
///
/// # Panics
/// In `./test` and `./test long`.
#[expect(clippy::print_stderr, reason = "the harness shows why a test was skipped")]
pub fn skip(reason: &str) {
    let tier = std::env::var("KILN_TIER").unwrap_or_default();
    assert!(!matches!(tier.as_str(), "all" | "long"), "this test cannot run here: {reason}");
    eprintln!("skipped: {reason}");
}
