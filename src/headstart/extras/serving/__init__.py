"""What a trained model is used and shared by: predictions, exported files, a server, a folder for the Hub."""
