"""Policy pack: rules that every resource of every stage has to satisfy."""
