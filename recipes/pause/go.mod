// pause holds a pod's namespaces open. It is ours: upstream's is C, and wants a C compiler.
module kiln.local/pause

go 1.26.0
