//! What the laboratory's forwarding programs share with user space.
