"""Generated requests to a running RAS, checked against its OpenAPI documents: `make conformance`, and in the tests."""
