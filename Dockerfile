# One image for all Python processes. docker-compose.yml sets the command of each process.
FROM python:3.11-slim

RUN useradd --create-home --uid 1000 shop
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes --requirement requirements.txt
COPY . .
RUN install --directory --owner shop --group shop /app/var /flink /flink-jars

# manage.py is executable and /app is on the path, so that the commands are the same as outside the image.
ENV PATH=/app:$PATH PYTHONUNBUFFERED=1 VAR_DIR=/app/var
USER shop
EXPOSE 8000
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "shop.wsgi:application"]
