//! The laboratory: the cluster of the blog post in network namespaces.
