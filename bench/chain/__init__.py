"""The event chain of a stage with tiny data: fault injection, and the invariants that must hold after it."""
