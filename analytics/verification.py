def find_sales_differences():
    return iter(())
