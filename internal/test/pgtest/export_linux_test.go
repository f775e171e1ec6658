package pgtest

// What the tests need to see what became of the processes.
var (
	Children = children
	Status   = status
)

// Folder returns where the cluster keeps its data.
func (c *Cluster) Folder() string { return c.folder }
