"""The sales pages: figures of analytics with charts, definitions, the rows behind them, and CSV files."""
