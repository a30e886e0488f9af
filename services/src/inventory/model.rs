//! The JSON of the inventory service.
