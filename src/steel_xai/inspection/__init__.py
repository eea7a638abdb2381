"""What layers and neurons of a trained network have learned."""
