//! What the API server says of a node.

use serde::Serialize;
use time::OffsetDateTime;

/// What the API server says of a node: its condition `Ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// Whether it is `True`.
    pub ready: bool,
    /// Why it is not, in the kubelet's words.
    pub reason: Option<String>,
    /// When the kubelet last said so, by the API server.
    #[serde(skip)]
    pub(super) heard: Option<OffsetDateTime>,
}
