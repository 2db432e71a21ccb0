"""Claims of introductory lectures, each as an experiment with a number, a picture and a verdict."""
