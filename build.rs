//! Has the program compiled anew when the dashboard was built anew. Builds nothing itself: `make dashboard` does.

fn main() {
    println!("cargo:rerun-if-changed=dashboard/dist");
}
