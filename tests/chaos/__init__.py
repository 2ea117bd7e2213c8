"""Are the promises kept when the world falls apart? Real processes, real servers, faults, and one checker."""
