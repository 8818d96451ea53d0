//! Virtual time: a population of callees, for the simulator and the lab.
