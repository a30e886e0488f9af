//! The JSON of the orders service.
