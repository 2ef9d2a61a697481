"""What the model files share and their authors would import: data that is there without a network, and a comparison."""
