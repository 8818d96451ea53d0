//! Samples: companding, tones, files.
