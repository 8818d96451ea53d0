//! Real-socket counterparts for the demo and the tests: carrier, agents' phones, CRM.
