//! Where rows and releases are kept.
