//! `/oauth/*`: where providers send people back.

pub(super) mod callback;
