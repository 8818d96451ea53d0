//! The program: command line, configuration, wiring, and the driver that runs the engine.
