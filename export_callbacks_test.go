package netstream

// SameOperation reports whether two results stand for lives of one pooled operation.
func SameOperation(a, b AsyncResult) bool { return a.op == b.op }
