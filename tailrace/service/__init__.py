"""What a running pipeline offers to the world around it: a control socket, health and metrics over HTTP."""
