"""How good the trained model is: held-out metrics, plots, the model card."""
