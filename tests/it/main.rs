mod host_readings;
