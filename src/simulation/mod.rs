//! Virtual time: a population of callees, for the simulator and the lab.

pub mod dice;
pub mod population;
