//! Sizes as a profile writes them: `"1536MiB"`, `"2GiB"`.

use serde::{Deserialize, Serialize};

/// A size in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MiB(pub u64);

impl From<MiB> for String {
    fn from(size: MiB) -> Self {
        format!("{}MiB", size.0)
    }
}

impl TryFrom<String> for MiB {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a size; write a whole number of MiB or GiB like `1536MiB` or `2GiB`");
        let (number, unit) = match (text.strip_suffix("MiB"), text.strip_suffix("GiB")) {
            (Some(number), _) => (number, 1),
            (_, Some(number)) => (number, 1024),
            _ => return Err(wrong()),
        };
        let number: u64 = number.trim().parse().map_err(|_| wrong())?;
        number.checked_mul(unit).filter(|size| *size > 0).map(Self).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::MiB;

    #[test]
    fn sizes_need_a_unit_and_fit() {
        assert_eq!(MiB::try_from("2GiB".to_owned()), Ok(MiB(2048)));
        assert_eq!(MiB::try_from("1536 MiB".to_owned()), Ok(MiB(1536)));
        for bad in ["2", "2GB", "-1GiB", "0MiB", "99999999999999999999GiB", "18446744073709551615GiB", ""] {
            assert!(MiB::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
